"""Rules of the block foundation."""

from __future__ import annotations

import re
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.backup_store import BackupStore, endpoint_of
from ansible_collections.kontrol.platform.plugins.module_utils.rules import foundation

OWN = "http://kontrol-r-backup-store:7070"
AWAY = "https://s3.example.com"


def judged(endpoint: str = "", bucket: str = "") -> list[str]:
    block = {"backup_bucket": "kontrol-backups", "second_store": {"endpoint": endpoint, "bucket": bucket}}
    return [str(problem) for problem in foundation.rules(block, {"region": {"name": "r"}})]


def test_the_address_of_the_own_store_is_the_one_that_it_has() -> None:
    parts: Any = None
    assert BackupStore("r", parts, parts, "gw:1", parts).endpoint == endpoint_of("r") == OWN


@pytest.mark.parametrize(
    ("endpoint", "bucket"), [("", ""), (AWAY, "copies"), (AWAY, "kontrol-backups"), (OWN, "copies")]
)
def test_sound(endpoint: str, bucket: str) -> None:
    assert judged(endpoint, bucket) == []


@pytest.mark.parametrize(("given", "lacking"), [({"endpoint": AWAY}, "bucket"), ({"bucket": "copies"}, "endpoint")])
def test_half_of_a_second_store_is_none(given: dict[str, str], lacking: str) -> None:
    ((name, value),) = given.items()
    remedy = f'give both endpoint and bucket, or leave second_store out; here is {name} "{value}"'
    assert judged(**given) == [f"foundation.second_store.{lacking}: Option is missing: {remedy}"]


@pytest.mark.parametrize("endpoint", [OWN, OWN.replace("http://k", "http://K")])
@pytest.mark.parametrize("bucket", ["kontrol-backups", "kontrol-backups-locks"])
def test_the_own_store_is_no_second_one(endpoint: str, bucket: str) -> None:
    why = f'The region\'s own store at "{endpoint}" has this bucket, so nothing would be in another place'
    remedy = "name a bucket of another store"
    assert judged(endpoint, bucket) == [f'foundation.second_store.bucket: {why}, found "{bucket}": {remedy}']


@pytest.mark.parametrize(
    ("option", "text", "good"),
    [
        ("endpoint", "", True),
        ("endpoint", AWAY, True),
        ("endpoint", "http://10.0.0.1:9000", True),
        ("endpoint", "s3.example.com", False),
        ("endpoint", "https://s3.example.com/bucket", False),
        ("endpoint", "https://key:secret@s3.example.com", False),
        ("endpoint", "ftp://s3.example.com", False),
        ("bucket", "", True),
        ("bucket", "copies-2", True),
        ("bucket", "Copies", False),
        ("bucket", "a.b.c", False),
        ("bucket", "ab", False),
        ("region", "eu-central-1", True),
        ("region", "", False),
        ("region", "EU west", False),
    ],
)
def test_an_address_has_no_login_and_no_path_and_bucket_and_region_are_such(option: str, text: str, good: bool) -> None:
    assert bool(re.search(foundation.PATTERNS[f"second_store.{option}"][0], text)) is good
