"""The configuration files of a server, as the stand-in reads them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from lab.images.clickhouse.clickhouse_stand_in import config
from tests.lab.stand_in.conftest import DEFAULT, write_users

if TYPE_CHECKING:
    from pathlib import Path

BASE = """<clickhouse><http_port>8123</http_port><listen_host>127.0.0.9</listen_host>
<path>/var/lib/clickhouse/</path></clickhouse>"""
OVERLAY = """<clickhouse>
<http_port>9123</http_port><mysql_port remove="1"/><max_server_memory_usage>1000</max_server_memory_usage>
<prometheus><port>9363</port></prometheus><logger><level>trace</level></logger></clickhouse>"""


def folder(tmp_path: Path, **overlays: str) -> Path:
    (tmp_path / "config.xml").write_text(BASE)
    (tmp_path / "config.d").mkdir()
    for name, text in overlays.items():
        (tmp_path / "config.d" / f"{name}.xml").write_text(text)
    return tmp_path / "config.xml"


def test_an_overlay_is_merged_over_the_main_file(tmp_path: Path) -> None:
    found = config.settings(config.read(folder(tmp_path, kontrol=OVERLAY)))
    assert (found.http_port, found.metrics_port, found.listen_host) == (9123, 9363, "127.0.0.9")
    expected = "<clickhouse><max_server_memory_usage>1000</max_server_memory_usage></clickhouse>"
    assert "".join(found.engine_xml.split()) == expected


def test_without_overlays_there_is_no_metrics_port(tmp_path: Path) -> None:
    assert config.settings(config.read(folder(tmp_path))).metrics_port is None


def test_overlays_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    second = OVERLAY.replace("9123", "9124")
    assert config.settings(config.read(folder(tmp_path, b=second, a=OVERLAY))).http_port == 9124


def test_the_log_goes_to_the_console_where_no_file_is_named(tmp_path: Path) -> None:
    found = config.settings(config.read(folder(tmp_path))).logger
    assert (found.console, found.file) == (True, None)


def test_the_log_goes_where_the_logger_says(tmp_path: Path) -> None:
    text = "<clickhouse><logger><log>/l/s.log</log><size>8M</size><count>3</count></logger></clickhouse>"
    found = config.settings(config.read(folder(tmp_path, a=text))).logger
    assert (found.console, str(found.file), found.size, found.count) == (False, "/l/s.log", 8 << 20, 3)


def test_replace_and_remove(tmp_path: Path) -> None:
    replacing = '<clickhouse><prometheus replace="1"><endpoint>/m</endpoint></prometheus></clickhouse>'
    removing = '<clickhouse><http_port remove="1"/></clickhouse>'
    tree = config.read(folder(tmp_path, a=OVERLAY, b=replacing, c=removing))
    assert tree.find("prometheus/port") is None
    assert tree.find("http_port") is None
    assert config.settings(tree).http_port == 8123


def test_a_broken_file_is_named(tmp_path: Path) -> None:
    main = folder(tmp_path, kontrol="<clickhouse>")
    with pytest.raises(config.ConfigError, match=r"kontrol\.xml"):
        config.read(main)


def test_default_is_open_until_it_is_removed(tmp_path: Path) -> None:
    (tmp_path / "users.xml").write_text(DEFAULT)
    default = config.UserDirectory(tmp_path / "users.xml").get("default")
    assert default is not None
    assert default.accepts("")
    assert not default.accepts("x")
    write_users(tmp_path, "secret")
    users = config.UserDirectory(tmp_path / "users.xml")
    assert users.get("default") is None
    admin = users.get("admin")
    assert admin is not None
    assert (admin.accepts("secret"), admin.accepts("Secret"), admin.accepts("")) == (True, False, False)


def test_users_are_read_again_when_a_file_changes(tmp_path: Path) -> None:
    (tmp_path / "users.xml").write_text(DEFAULT)
    write_users(tmp_path, "old")
    users = config.UserDirectory(tmp_path / "users.xml")
    write_users(tmp_path, "new")
    os.utime(tmp_path / "users.d" / "kontrol.xml", ns=(1, 1))
    admin = users.get("admin")
    assert admin is not None
    assert admin.accepts("new")


def test_a_broken_change_leaves_the_users_as_they_were(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "users.xml").write_text(DEFAULT)
    write_users(tmp_path, "old")
    users = config.UserDirectory(tmp_path / "users.xml")
    (tmp_path / "users.d" / "kontrol.xml").write_text("<clickhouse>")
    os.utime(tmp_path / "users.d" / "kontrol.xml", ns=(1, 1))
    assert users.get("admin") is not None
    assert "Users stay as they were" in caplog.text
