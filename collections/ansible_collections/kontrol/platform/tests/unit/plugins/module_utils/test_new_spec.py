from __future__ import annotations

import threading
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import state
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.new_spec import Wanted, ensure, free_networks
from ansible_collections.kontrol.platform.plugins.module_utils.paths import project_root
from ansible_collections.kontrol.platform.plugins.module_utils.problems import ProblemsError
from ansible_collections.kontrol.platform.plugins.module_utils.spec import Region, load_roles, read_region

ROOT = project_root()
ROLES = load_roles(ROOT)
MADRID = Wanted("madrid", market="ES", driver="kind", profile="development", components=("mesh",))


@pytest.fixture
def inventories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "inventories"
    folder.mkdir()
    return folder


def declared(file: Path) -> Region:
    region, problems = read_region(file, ROOT, ROLES)
    assert problems == []
    assert region is not None
    return region


def test_a_spec_is_sound_and_says_what_was_decided(inventories: Path) -> None:
    file, text = ensure(MADRID, inventories, ROOT, ROLES)
    region = declared(file)
    assert file == inventories / "madrid" / "region.yml"
    assert text == file.read_text(encoding="utf-8")
    assert region.components == ["mesh"]
    options = region.blocks["region"]
    assert (options["driver"], options["location"], options["market"]) == ("kind", "local", "ES")
    assert [one.name for one in inventories.iterdir()] == ["madrid"]


def test_without_a_choice_every_component_is_on(inventories: Path) -> None:
    file, _text = ensure(Wanted("all-on", driver="kind"), inventories, ROOT, ROLES)
    assert set(declared(file).components) == set(ROLES) - {"region", "foundation", "cluster"}


def test_networks_overlap_neither_a_declared_region_nor_a_cluster_on_this_machine(inventories: Path) -> None:
    record = {"spec": {"pod_cidr": "10.64.0.0/16", "service_cidr": "10.192.0.0/16"}}
    state.write_json(
        state.make_private_dir(inventories.parent / "state" / "kontrol" / "other") / "cluster.json", record
    )
    found = [declared(ensure(Wanted(f"r{n}", driver="kind"), inventories, ROOT, ROLES)[0]) for n in range(3)]
    networks = [IPv4Network(region.blocks["cluster"][key]) for region in found for key in ("pod_cidr", "service_cidr")]
    networks.append(IPv4Network("10.64.0.0/16"))
    assert not [(a, b) for i, a in enumerate(networks) for b in networks[:i] if a.overlaps(b)]


def test_a_second_time_nothing_is_written(inventories: Path) -> None:
    file, text = ensure(MADRID, inventories, ROOT, ROLES)
    stamp = file.stat().st_mtime_ns
    assert ensure(MADRID, inventories, ROOT, ROLES) == (file, "")
    assert ensure(Wanted("madrid"), inventories, ROOT, ROLES) == (file, "")
    assert (file.stat().st_mtime_ns, file.read_text(encoding="utf-8")) == (stamp, text)


def test_a_spec_that_says_otherwise_is_left_and_told(inventories: Path) -> None:
    ensure(MADRID, inventories, ROOT, ROLES)
    with pytest.raises(KontrolError, match="market is 'ES' there, 'BR' was said; components is 'mesh' there"):
        ensure(Wanted("madrid", market="BR", components=("mesh", "neo4j")), inventories, ROOT, ROLES)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (Wanted("Madrid", driver="kind"), "region.name"),
        (Wanted("", driver="kind"), "region.name"),
        (Wanted("../local", driver="kind"), "region.name"),
        (Wanted("a" * 21, driver="kind"), "region.name"),
        (Wanted("all", driver="kind"), "region.name"),
        (Wanted("madrid", market="ES"), "The policy would choose gcp europe-southwest1"),
        (Wanted("madrid", market="XX", driver="kind"), "region.market"),
        (Wanted("madrid", driver="kidn"), "region.driver"),
        (Wanted("madrid"), "give region.market"),
        (Wanted("madrid", driver="kind", profile="nope"), "No such profile"),
        (Wanted("madrid", driver="kind", components=("clickhouse",)), 'needs the block "mesh"'),
        (Wanted("madrid", driver="kind", components=("kafka",)), "Unknown block"),
        (Wanted("madrid", driver='kind"\n  protected: true #'), "region.driver"),
        (Wanted("madrid", driver="{{ x }}"), "region.driver"),
    ],
)
def test_what_makes_no_sound_spec_leaves_nothing(inventories: Path, wanted: Wanted, told: str) -> None:
    with pytest.raises(ProblemsError) as refused:
        ensure(wanted, inventories, ROOT, ROLES)
    assert told in str(refused.value)
    assert "/tmp" not in str(refused.value)
    assert list(inventories.iterdir()) == []


def test_check_mode_shows_the_spec_and_writes_nothing(inventories: Path) -> None:
    _file, text = ensure(MADRID, inventories, ROOT, ROLES, check=True)
    assert "pod_cidr: 10.64.0.0/16" in text
    assert list(inventories.iterdir()) == []


def test_many_at_once_get_networks_of_their_own(inventories: Path) -> None:
    threads = [
        threading.Thread(target=ensure, args=(Wanted(f"r{n}", driver="kind"), inventories, ROOT, ROLES))
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = [declared(file).blocks["cluster"]["pod_cidr"] for file in inventories.glob("*/region.yml")]
    assert len(set(found)) == 6


def test_no_network_is_left() -> None:
    with pytest.raises(KontrolError, match="No network is free"):
        free_networks([IPv4Network("10.0.0.0/8")])
