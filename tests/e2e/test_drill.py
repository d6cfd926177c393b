"""Recovery drills for real: one that is green and measured again from outside, and each way in which one must be red.

A sabotage is a copy of the project in which one thing is wrong, or a store that was damaged by hand. CI runs the green
drill and some of the sabotage, others each day; `make drills` runs all.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.harness import INVENTORY, NAME, ROOT, Region, Run
from tests.e2e.test_recovery import query

pytestmark = pytest.mark.drill
LEFT_OUT = shutil.ignore_patterns(".git", ".venv", ".bootstrap", "__pycache__", ".*_cache")
ALL = os.environ.get("DRILLS") == "all"
PHASES = ["precheck", "canaries", "fault", "rebuild", "empty", "restore", "compare", "verify"]
SANDBOX = "drillbox"
NETWORKS = {"pod_cidr": "10.84.0.0/16", "service_cidr": "10.184.0.0/16"}
PER_DAY = 1
DAY = int(time.time()) // 86_400
DRILL = ("-e", "fault=database", "-e", f"confirm={NAME}", "-e", "within=2")
FILL = (
    "TRUNCATE TABLE market.trades",
    "TRUNCATE TABLE orders.events",
    """INSERT INTO market.trades SELECT 'x', concat('i', toString(number % 50)), now64(9, 'UTC') - number / 20,
    now64(9, 'UTC'), toString(number), number, 1, 'buy' FROM numbers(200000)""",
    """INSERT INTO orders.events SELECT 'i', number, generateUUIDv4(), number, now64(9, 'UTC') - number, 'accepted',
    'buy', 'limit', 'gtc', if(number % 3 = 0, NULL, number), 1, 1, '' FROM numbers(10000)""",
)
HELD = "200000\t10000"
DATABASES = ("market", "orders", "matches", "kontrol", "kontrol_unfinished_restore")
EMPTY = tuple(
    f"TRUNCATE TABLE {name}" for name in ("market.trades", "market.bars_1m", "orders.events", "orders.latest")
)
BEATS = "SELECT toUnixTimestamp(max(written)) FROM kontrol_verify.canary WHERE written < toDateTime({moment})"
"""The newest heartbeat before a moment."""


def counted(region: Region) -> str:
    """How many rows the two tables hold."""
    try:
        return query(region, "SELECT (SELECT count() FROM market.trades), (SELECT count() FROM orders.events)")
    except OSError:
        return "nothing"


def filled(region: Region) -> None:
    """Make the region whole, with rows and a backup of them; what an earlier test has left is put right."""
    if left(region).exists() or counted(region) != HELD:
        begin_anew(region)
        for statement in FILL:
            query(region, statement)
    region.run("backup", "-e", f"smaller={NAME}").green()


def left(region: Region) -> Path:
    """The file that tells of a drill which has not put right what it broke."""
    return region.state / "drill.json"


def begin_anew(region: Region) -> None:
    """Drop all data, and what is known of it: there may be half of it, or none, or none that a backup holds."""
    for name in DATABASES:
        query(region, f"DROP DATABASE IF EXISTS {name} SYNC")
    record = ("configmap", "clickhouse-schema-record", "--namespace", "clickhouse", "--ignore-not-found")
    region.kubectl("delete", *record)
    left(region).unlink(missing_ok=True)
    region.run("bootstrap").green()


def results(region: Region) -> list[dict[str, Any]]:
    """What the drills of the region have said, the newest last."""
    paths = sorted(region.state.glob("runs/*/drill.json"))
    return [json.loads(path.read_text(encoding="utf-8")) for path in paths]


def test_a_drill_is_green_and_its_figures_are_those_of_a_stopwatch(region: Region) -> None:
    filled(region)
    started = region.start("dr_drill", *DRILL)
    seen: dict[str, float] = {}
    marks = {"fault": "TASK [Drop all that is in the databases]", "end": "TASK [drill : Stop the clock]"}
    while started.process.poll() is None:
        text = started.stdout()
        for name, mark in marks.items():
            if mark in text:
                seen.setdefault(name, time.time())
        time.sleep(0.1)
    run = started.wait().green()
    result = results(region)[-1]
    assert (result["verdict"], result["reasons"]) == ("green", []), run.stdout[-3000:]
    assert abs(result["rto_seconds"] - (seen["end"] - seen["fault"])) < 5.0
    assert abs(result["rpo_seconds"] - rpo_by_hand(region, result["run"])) < 5.0
    assert counted(region) == HELD
    assert "RTO" in (page := (region.state / "runs" / result["run"] / "drill.html").read_text(encoding="utf-8"))
    assert page.count("<rect") == 2 * len(results(region))
    region.run("verify").green()


def rpo_by_hand(region: Region, run: str) -> float:
    """Seconds from the newest heartbeat that came back to the last canary that was acknowledged."""
    lines = (region.state / "runs" / run / "canaries-clickhouse.jsonl").read_text(encoding="utf-8").splitlines()
    last = max(float(json.loads(line)["written"]) for line in lines)
    first = min(float(json.loads(line)["written"]) for line in lines)
    beat = query(region, BEATS.format(moment=int(first)))
    return last - float(beat)


@pytest.mark.skipif(not ALL, reason="with DRILLS=all")
def test_a_second_drill_right_after_the_first_is_green(region: Region) -> None:
    region.run("dr_drill", *DRILL).green()
    assert results(region)[-1]["verdict"] == "green"


@dataclass(frozen=True)
class Sabotage:
    """One way to prove nothing: what is wrong in a copy of the project, or done to the store, and why it is red."""

    reason: str
    edits: tuple[tuple[str, str, str], ...] = ()
    damage: Callable[[Region], Callable[[], None]] | None = None
    backup_from_copy: bool = False
    before: tuple[str, ...] = ()
    arguments: tuple[str, ...] = DRILL
    broken: bool = field(default=True)


def store(region: Region) -> Path:
    """The folder of the backups of ClickHouse in the region's store."""
    return region.state / "backups" / "data" / "kontrol-backups" / "clickhouse"


def newest(region: Region) -> str:
    """The id of the newest backup."""
    manifests = [json.loads(path.read_text(encoding="utf-8")) for path in (store(region) / "manifests").glob("*.json")]
    return str(max(manifests, key=lambda one: float(one["made"]))["backup"])


def flip_a_byte(region: Region) -> Callable[[], None]:
    """Change one byte in the middle of the largest object of the newest backup, whose size stays what it is."""
    files = [path for path in (store(region) / "data" / newest(region)).rglob("*") if path.is_file()]
    largest = max(files, key=lambda path: path.stat().st_size)
    before = largest.read_bytes()
    middle = len(before) // 2
    with largest.open("r+b") as file:
        file.seek(middle)
        file.write(bytes([before[middle] ^ 0xFF]))

    def undo() -> None:
        with largest.open("r+b") as file:
            file.write(before)

    return undo


def make_old(region: Region) -> Callable[[], None]:
    """Let all backups be two days older than they are."""
    files = {path: path.read_text(encoding="utf-8") for path in (store(region) / "manifests").glob("*.json")}
    for path, text in files.items():
        data = json.loads(text)
        rewrite(path, json.dumps({**data, "started": data["started"] - 172_800, "made": data["made"] - 172_800}))

    def undo() -> None:
        for path, text in files.items():
            rewrite(path, text)

    return undo


def rewrite(path: Path, text: str) -> None:
    """Change a file in place: the store keeps what it knows of an object in the attributes of its file."""
    with path.open("r+", encoding="utf-8") as file:
        file.write(text)
        file.truncate()


def take_manifests_away(region: Region) -> Callable[[], None]:
    """Leave only the data of all backups."""
    folder = store(region) / "manifests"
    aside = store(region).parent.parent / "aside"
    folder.rename(aside)

    def undo() -> None:
        if folder.exists():
            shutil.rmtree(folder)
        aside.rename(folder)

    return undo


FAULT = "roles/drill/tasks/fault.yml"
RESTORE = "roles/drill/tasks/restore.yml"
COMPARE = "roles/drill/tasks/compare.yml"
VERIFY = "roles/drill/tasks/verify.yml"
VARS = "roles/clickhouse/vars/main.yml"
ACTION = "collections/ansible_collections/kontrol/platform/plugins/action/drill.py"
CANARIES = "collections/ansible_collections/kontrol/platform/plugins/module_utils/canaries.py"
WRITER = "      password_file: /run/secrets/kontrol/verify/password\n      interval"
ANOTHER = "---\n- name: Make another one\n  kontrol.platform.stored_secret: {names: [clickhouse/sabotage]}\n\n"
SABOTAGE = {
    "nothing is destroyed": Sabotage(
        r"the target was empty before the restore \(clickhouse\): \d+ rows",
        ((FAULT, "when: __drill_fault == 'database'", "when: false"),),
    ),
    "the backup is damaged": Sabotage(r"every phase was done .* phase restore failed", damage=flip_a_byte),
    "the backup lacks a database": Sabotage(
        r"nothing is missing as a whole \(clickhouse\): nothing came back of orders.events, orders.latest",
        ((VARS, "[market, orders, matches, kontrol]", "[market, matches, kontrol]"),),
        backup_from_copy=True,
    ),
    "the newest backup is old": Sabotage(
        r"the newest good backup of clickhouse, '\S+', is 2 days old", damage=make_old, broken=False
    ),
    "there is no backup": Sabotage("clickhouse has no good backup", damage=take_manifests_away, broken=False),
    "there is no data": Sabotage(
        "clickhouse holds no data",
        before=EMPTY,
        broken=False,
    ),
    "no canary is written": Sabotage(
        "fewer than 3 canaries of clickhouse were acknowledged",
        (
            (VARS, f"user: verify\n{WRITER}", f"user: nobody\n{WRITER}"),
            (CANARIES, "FIRST_SECONDS: Final = 90.0", "FIRST_SECONDS: Final = 10.0"),
        ),
        broken=False,
    ),
    "canaries end long before the fault": Sabotage(
        r"canaries ran until the fault \(clickhouse\): the last one \d\d\.\d s before it",
        (
            (VARS, "seconds: 21600", "seconds: 6"),
            (ACTION, 'uniform(0.0, args["within"])', "uniform(20.0, 20.0)"),
        ),
    ),
    "nothing is restored": Sabotage(
        "every phase was done .* phase restore failed",
        ((RESTORE, 'loop: "{{ __drill_databases }}"', "loop: []"),),
    ),
    "passwords are made anew": Sabotage(
        r"passwords are the old ones \(secret store\): others than before",
        ((COMPARE, "---\n", ANOTHER),),
    ),
    "verify does not look at the database": Sabotage(
        "verify made no check of clickhouse",
        ((VERIFY, "kontrol_verb: verify_all", "kontrol_verb: verify_all\n    kontrol_parts: [foundation, cluster]"),),
    ),
    "verify is red": Sabotage(
        "every phase was done .* phase verify failed",
        ((VARS, "default: refused}", "default: accepted}"),),
    ),
}  # fmt: skip


def turn() -> list[str]:
    """The sabotage of this day, or all of it."""
    names = list(SABOTAGE)
    if ALL:
        return names
    return [names[(DAY * PER_DAY + number) % len(names)] for number in range(PER_DAY)]


@contextmanager
def sabotaged(region: Region, one: Sabotage, folder: Path) -> Iterator[Path]:
    """The project to drill with, everything else prepared; the damage is undone afterwards."""
    root = shutil.copytree(ROOT, folder / "project", ignore=LEFT_OUT) if one.edits else ROOT
    for file, right, wrong in one.edits:
        text = (root / file).read_text(encoding="utf-8")
        assert right in text, f"'{right}' is not in {file}: this breaks nothing any more"
        (root / file).write_text(text.replace(right, wrong, 1), encoding="utf-8")
    for statement in one.before:
        query(region, statement)
    if one.backup_from_copy:
        region.run("backup", "-e", f"smaller={NAME}", root=root).green()  # without it the backup refuses, rightly
    undo = one.damage(region) if one.damage else lambda: None
    try:
        yield ROOT if one.backup_from_copy else root
    finally:
        undo()


@pytest.mark.parametrize("name", turn())
def test_a_drill_that_proves_nothing_is_red_and_claims_nothing(name: str, region: Region, tmp_path: Path) -> None:
    one = SABOTAGE[name]
    filled(region)
    with sabotaged(region, one, tmp_path) as root:
        run: Run = region.run("dr_drill", *one.arguments, root=root)
    assert run.rc != 0, run.stdout[-3000:]
    result = results(region)[-1]
    assert re.search(one.reason, "; ".join(result["reasons"])), result["reasons"]
    assert (result["verdict"], result["proven"]) == ("red", False)
    assert (result["rto_seconds"], result["rpo_seconds"], result["rpo_by_database"]) == (None, None, {})
    assert "RTO not proven" in run.stdout
    status = region.run("status").green().stdout
    assert ("run dr_drill again" in status) == one.broken, status


def in_phase(region: Region, phase: str) -> bool:
    """Whether the drill that goes on has written down that it is in a phase."""
    try:
        told = json.loads(left(region).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    return bool(told["phase"] == phase)


@pytest.mark.parametrize("phase", PHASES if ALL else ["restore"])
def test_a_drill_that_was_killed_is_told_and_the_next_one_ends_green(phase: str, region: Region) -> None:
    filled(region)
    started = region.start("dr_drill", *DRILL)
    started.until(lambda: in_phase(region, phase))
    started.kill_group()
    assert started.survivors(10) == []
    status = region.run("status").green().stdout
    assert re.search(rf"drill +drill \S+ \(database\) was in phase {phase}", status), status
    assert "run dr_drill again" in status
    if PHASES.index(phase) % 2:
        region.run("bootstrap").green()
        region.run("restore", "-e", f"confirm={NAME}").green()
    else:
        region.run("dr_drill", *DRILL).green()
        assert results(region)[-1]["verdict"] == "green"
    assert not left(region).exists()
    assert counted(region) == HELD


@pytest.mark.parametrize("fault", ["pod", "volume", "namespaces", "cluster"] if ALL else [])
def test_each_fault_is_survived(fault: str, region: Region) -> None:
    filled(region)
    region.run("dr_drill", "-e", f"fault={fault}", "-e", f"confirm={NAME}", "-e", "within=2").green()
    result = results(region)[-1]
    assert (result["fault"], result["verdict"], result["reasons"]) == (fault, "green", [])
    assert (result["rpo_seconds"] == 0.0) == (fault == "pod")
    assert counted(region) == HELD
    region.run("verify").green()


@pytest.mark.skipif(not ALL, reason="a second region beside the first: with DRILLS=all")
def test_a_backup_is_proven_in_a_sandbox_and_its_source_is_not_touched(region: Region, tmp_path: Path) -> None:
    filled(region)
    spec = yaml.safe_load((INVENTORY / "region.yml").read_text(encoding="utf-8"))
    spec["region"]["name"], spec["cluster"] = SANDBOX, NETWORKS
    (tmp_path / SANDBOX).mkdir()
    (tmp_path / SANDBOX / "region.yml").write_text(f"---\n{yaml.safe_dump(spec)}", encoding="utf-8")
    sandbox = region.beside(SANDBOX, tmp_path)
    try:
        sandbox.run("bootstrap").green()
        order = ("-e", f"source={NAME}", "-e", f"target={SANDBOX}", "-e", f"confirm={SANDBOX}")
        before = region.files()
        sandbox.run("dr_drill", *order).green()
        result = results(sandbox)[-1]
        assert (result["mode"], result["source"], result["verdict"]) == ("prove", NAME, "green")
        assert result["rto_seconds"] > 0
        assert result["definitions"]["rto"].startswith("from the order to restore")
        assert counted(sandbox) == HELD
        assert region.files() == before
        again = sandbox.run("dr_drill", *order)
        assert again.rc != 0
        assert "of the sandbox holds" in again.stdout
    finally:
        sandbox.decommission().green()
