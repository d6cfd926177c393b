"""The judgement of a recovery drill: what was destroyed, what came back, and what may be claimed of it.

A drill collects evidence as it goes, in a file of the region's state folder that outlives a kill. Only at the end is it
judged, here, by checks that are each a way in which a drill could look like a success without having proven recovery.
Where one of those is red no figure is claimed. Times are seconds since 1970, of the controller unless said otherwise.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils.checks import check
from ansible_collections.kontrol.platform.plugins.module_utils.state import age_text

Evidence = dict[str, Any]
Checks = list[dict[str, Any]]

STATE_FILE: Final = "drill.json"
RESULT: Final = "drill.json"
HISTORY: Final = "runs/drills.jsonl"
COMPARED: Final = "drill compare"
"""The phase of a run after which everything is verified."""
DONE: Final = "every phase was done"
SILENT_SECONDS: Final = 5.0
"""How long before the fault the last canary may have been acknowledged; each second one is written."""
FEWEST_CANARIES: Final = 3
RTO: Final = "from the moment before the first act of destruction to the end of a green verify of the whole region"
RTO_OF_PROOF: Final = "from the order to restore to the end of a green verify of the sandbox; nothing was broken"
RPO: Final = (
    "last canary that the database acknowledged minus the last one that came back, of the database that lost most"
)
RPO_OF_PROOF: Final = "order to restore minus the newest heartbeat that came back, of the database that lost most"
WORST: Final = "longest time between the beginnings of two good backups, the last one to the fault included"


@dataclass(frozen=True)
class Fault:
    """One kind of damage.

    Attributes:
        breaks: What is lost.
        destroys: Whether data is lost, so that it must be restored; otherwise nothing at all may be missing.
        rebuilds: Whether parts of the region must be made anew before data can be restored.
        told: What status says is left of the region when the drill died after it.
    """

    breaks: str
    destroys: bool = True
    rebuilds: bool = True
    told: str = "its data may be gone"


FAULTS: Final = {
    "pod": Fault("the running server of each database", destroys=False, rebuilds=False, told="a pod was killed"),
    "volume": Fault("the volume of each database, with its server"),
    "database": Fault("everything in each database; its server goes on", rebuilds=False),
    "namespaces": Fault("the namespaces of the databases, with all that is in them"),
    "cluster": Fault("the whole cluster", told="its cluster may be gone"),
}
ACCESS_SECRET: Final = "source-store/access-key"  # noqa: S105 - the name of a secret
SECRET_SECRET: Final = "source-store/secret-key"  # noqa: S105 - the name of a secret
PHASES: Final = (
    "precheck",
    "canaries",
    "fault",
    "rebuild",
    "empty",
    "restore",
    "compare",
    "verify",
    "judge",
)
BESIDE: Final = frozenset({"neo4j"})
"""Components whose restore lies beside what is there until it takes its place."""
HOLDER_VERBS: Final = ("backups", "evidence", "canary", "destroy", "restore")
"""Verbs that a component has whose data a drill can lose and bring back."""
PROVE: Final = Fault("nothing: the newest backup of another region is restored into this empty one", rebuilds=False)


@dataclass(frozen=True)
class Acknowledged:
    """What the controller heard of the canaries of one database.

    Attributes:
        count: How many were acknowledged.
        last: The second at which the last of them was written, by the clock of its writer; None without any.
        last_seq: Its number.
    """

    count: int = 0
    last: float | None = None
    last_seq: int = 0


@dataclass(frozen=True)
class Verdict:
    """What a drill has shown.

    Attributes:
        proven: Whether recovery was proven; only then are there figures.
        ok: Whether it was, within the targets.
        checks: All that was judged.
        rto: Seconds, None where nothing was proven; see RTO.
        rpo: Seconds by database, and the larger one as a whole; see RPO.
        worst: Seconds by database; see WORST.
        cut: Whether a phase failed before what came back was compared, so that much was not looked at.
    """

    proven: bool
    ok: bool
    checks: Checks
    rto: float | None = None
    rpo: float | None = None
    rpo_by_database: dict[str, float] = field(default_factory=dict)
    worst: dict[str, float] = field(default_factory=dict)
    cut: bool = False

    @property
    def reasons(self) -> list[str]:
        """Why it is red; where it was cut the phase that failed is why, and not all that was not looked at after it."""
        red = [one for one in self.checks if not one["ok"] and (not self.cut or one["check"] == DONE)]
        return [f"{one['check']} ({one['target']}): {one['seen']}" for one in red]


def kind_of(evidence: Evidence) -> Fault:
    """Return the fault of a drill."""
    return PROVE if evidence["mode"] == "prove" else FAULTS[evidence["fault"]]


def parts_of(mode: str, fault: str) -> list[str]:
    """Return the verbs of the role `drill` that make up a drill, in their order."""
    if mode == "prove":
        return ["begin", "source", "restore", "compare", "verify"]
    recovery = ["empty", "restore"] if FAULTS[fault].destroys else []
    return ["begin", "precheck", "canaries", "fault", "rebuild", *recovery, "compare", "verify"]


def judge(evidence: Evidence, acknowledged: dict[str, Acknowledged]) -> Verdict:
    """Judge a drill by its evidence and by the canaries of each database."""
    checks = _run_checks(evidence)
    for database in evidence.get("databases") or []:
        heard = acknowledged.get(database, Acknowledged())
        checks += _database_checks(evidence, database, heard)
    proven = all(one["ok"] for one in checks)
    if not proven:
        return Verdict(False, False, checks, worst=worst_gaps(evidence), cut=_cut(evidence))
    rpo = {name: _rpo(evidence, name, acknowledged.get(name, Acknowledged())) for name in evidence["databases"]}
    rto = round(float(evidence["verified_at"]) - began(evidence), 1)
    largest = max(rpo.values())
    missed = _target_checks(evidence, rto, largest)
    ok = all(one["ok"] for one in missed)
    return Verdict(True, ok, [*checks, *missed], rto, largest, rpo, worst_gaps(evidence))


def _cut(evidence: Evidence) -> bool:
    """Return whether a phase failed before everything had been compared."""
    phase = (evidence.get("failed") or {}).get("phase")
    return phase is not None and (phase not in PHASES or PHASES.index(phase) < PHASES.index("verify"))


def began(evidence: Evidence) -> float:
    """Return the moment at which the clock of the RTO starts."""
    return float(evidence["ordered_at" if evidence["mode"] == "prove" else "fault_at"])


def _run_checks(evidence: Evidence) -> Checks:
    """Return the checks of the drill as a whole."""
    failed = evidence.get("failed")
    checks = [
        check(
            DONE,
            "drill",
            "no failure",
            f"phase {failed['phase']} failed: {failed['message']}" if failed else "no failure",
            not failed,
        ),
        check(
            "there was something to recover",
            "drill",
            "at least one database",
            ", ".join(evidence.get("databases") or []) or "no database",
            bool(evidence.get("databases")),
        ),
        _verified(evidence),
    ]
    if evidence["mode"] == "prove":
        return [*checks, _untouched(evidence)]
    before, after = evidence.get("secrets_before"), evidence.get("secrets_after")
    same = bool(before) and before == after
    seen = "the same" if same else "not looked at" if not (before and after) else "others than before"
    return [*checks, check("passwords are the old ones", "secret store", "the same", seen, same)]


def _verified(evidence: Evidence) -> dict[str, Any]:
    """Return the check that verify has looked at each database, and that it was green; its checks were counted."""
    counted = evidence.get("verified") or {}
    bare = [name for name in evidence.get("databases") or [] if not counted.get(name)]
    done = bool(evidence.get("verified_at"))
    seen = f"green, {sum(counted.values())} checks" if done else "not verified"
    if done and bare:
        seen = f"verify made no check of {', '.join(bare)}"
    return check(
        "the region was verified after it", "drill", "green, with checks of each database", seen, done and not bare
    )


def checks_made(journal: list[dict[str, Any]]) -> dict[str, int]:
    """Return how many checks of each component the journal of a run tells of since the restored data was compared."""
    starts = [number for number, one in enumerate(journal) if one.get("phase") == COMPARED]
    made: Counter[str] = Counter()
    for one in journal[starts[-1] :] if starts else []:
        made.update(str(each.get("component")) for each in one.get("checks") or [])
    return dict(made)


def _untouched(evidence: Evidence) -> dict[str, Any]:
    before, after = evidence.get("source_before"), evidence.get("source_after")
    same = bool(before) and before == after
    seen = "the same files" if same else "not looked at" if not (before and after) else "its files have changed"
    return check("the source was not written", str(evidence.get("source")), "the same files", seen, same)


def _database_checks(evidence: Evidence, database: str, heard: Acknowledged) -> Checks:
    """Return the checks of one database."""
    fault = kind_of(evidence)
    proving = evidence["mode"] == "prove"
    checks = [] if proving else [_held(evidence, database), *_canaries(evidence, database, heard)]
    if fault.destroys:
        checks += [_emptied(evidence, database), _restored(evidence, database), _compared(evidence, database)]
        checks += [] if proving else [_complete(evidence, database)]
        return [*checks, *_came_back(evidence, database)]
    return [*checks, _replaced(evidence, database), _nothing_lost(evidence, database, heard)]


def _held(evidence: Evidence, database: str) -> dict[str, Any]:
    rows = int(_part(evidence, "before", database).get("rows", 0))
    return check("there was data before the fault", database, "at least one row", f"{rows} rows", rows > 0)


def _canaries(evidence: Evidence, database: str, heard: Acknowledged) -> Checks:
    count = check(
        "canaries were acknowledged",
        database,
        f"at least {FEWEST_CANARIES} before the fault",
        f"{heard.count} of them",
        heard.count >= FEWEST_CANARIES,
    )
    fault_at = evidence.get("fault_at")
    if fault_at is None or heard.last is None:
        return [count, check("canaries ran until the fault", database, "they did", "nothing is known of it", False)]
    silent = float(fault_at) - heard.last
    return [
        count,
        check(
            "canaries ran until the fault",
            database,
            f"the last one at most {SILENT_SECONDS:g} s before it",
            f"the last one {abs(silent):.1f} s {'before' if silent >= 0 else 'after'} it",
            silent <= SILENT_SECONDS,
        ),
    ]


def _emptied(evidence: Evidence, database: str) -> dict[str, Any]:
    found = _part(evidence, "emptied", database)
    own = evidence["mode"] == "prove"  # the heartbeats of a sandbox are its own
    beats = 0 if own or (found and found.get("heartbeat") is None) else 1
    left = {"rows": found.get("rows"), "canaries": found.get("count"), "heartbeats": beats}
    known = found.get("rows") is not None and found.get("count") is not None
    seen = ", ".join(f"{number} {name}" for name, number in left.items()) if known else "it was not looked at"
    return check("the target was empty before the restore", database, "nothing", seen, known and not any(left.values()))


def _restored(evidence: Evidence, database: str) -> dict[str, Any]:
    wanted, got = (_part(evidence, part, database).get("id") for part in ("backups", "restored"))
    expected = f"backup {wanted}, the newest good one before the fault"
    return check("that backup was restored", database, expected, f"backup {got}", bool(got) and got == wanted)


def _compared(evidence: Evidence, database: str) -> dict[str, Any]:
    found = _part(evidence, "restored", database)
    number = int(found.get("compared", 0))
    seen = f"{number} compared, {found.get('rows', 0)} rows"
    return check("what came back equals the backup", database, "tables, labels or types", seen, number > 0)


def _complete(evidence: Evidence, database: str) -> dict[str, Any]:
    before, after = (_part(evidence, part, database).get("kinds") or {} for part in ("before", "after"))
    lost = sorted(name for name, rows in before.items() if rows and not after.get(name))
    seen = f"nothing came back of {', '.join(lost)}" if lost else f"{len(after)} of them"
    return check("nothing is missing as a whole", database, "whatever held rows before", seen, bool(after) and not lost)


def _came_back(evidence: Evidence, database: str) -> Checks:
    found = _part(evidence, "recovered", database)
    missing = found.get("missing")
    last = last_recovered(evidence, database)
    holes = f"{len(missing)} missing before the last one" if missing else "none missing"
    return [
        check(
            "canaries came back in a row",
            database,
            "none missing before the last one",
            holes if missing is not None else "not looked at",
            missing == [],
        ),
        check(
            "something shows how much was lost",
            database,
            "a canary or a heartbeat that came back",
            "one came back" if last is not None else "none came back",
            last is not None,
        ),
    ]


def _replaced(evidence: Evidence, database: str) -> dict[str, Any]:
    found = _part(evidence, "hit", database)
    before, after = found.get("before"), found.get("after")
    seen = f"pod {before} before, {after or 'none'} after"
    return check("the pod is another one", database, "a new pod", seen, bool(after) and before != after)


def _nothing_lost(evidence: Evidence, database: str, heard: Acknowledged) -> dict[str, Any]:
    found = _part(evidence, "recovered", database)
    last, missing = int(found.get("last_seq") or 0), found.get("missing")
    ok = missing == [] and heard.last_seq > 0 and last >= heard.last_seq
    expected = f"all canaries up to {heard.last_seq}"
    seen = f"up to {last}, {len(missing)} missing" if missing is not None else "not looked at"
    return check("nothing that was acknowledged is lost", database, expected, seen, ok)


def last_recovered(evidence: Evidence, database: str) -> float | None:
    """Return when the newest canary or heartbeat that came back was written; None when none did."""
    found = _part(evidence, "recovered", database)
    times = [float(found[name]) for name in ("last_written", "heartbeat") if found.get(name) is not None]
    return max(times, default=None)


def _rpo(evidence: Evidence, database: str, heard: Acknowledged) -> float:
    """Return how much was lost, in seconds; a fault that destroys nothing has lost nothing, or is not proven."""
    if not kind_of(evidence).destroys:
        return 0.0
    last = last_recovered(evidence, database)
    newest = float(evidence["ordered_at"]) if evidence["mode"] == "prove" else heard.last
    if last is None or newest is None:
        raise ValueError(f"Nothing shows how much of '{database}' was lost")
    return round(max(0.0, newest - last), 1)


def worst_gaps(evidence: Evidence) -> dict[str, float]:
    """Return, by database, the longest time between two backups: what could have been lost; see WORST."""
    end = evidence.get("ordered_at") or evidence.get("fault_at")
    gaps = {}
    for database, moments in (evidence.get("history") or {}).items():
        times = sorted([*map(float, moments), *([float(end)] if end else [])])
        gaps[database] = round(max((later - earlier for earlier, later in pairwise(times)), default=0.0), 1)
    return gaps


def _target_checks(evidence: Evidence, rto: float, rpo: float) -> Checks:
    targets = evidence["targets"]
    return [
        check("RTO within its target", "region", f"{targets['rto']:g} s", f"{rto:g} s", rto <= targets["rto"]),
        check("RPO within its target", "region", f"{targets['rpo']:g} s", f"{rpo:g} s", rpo <= targets["rpo"]),
    ]


def _part(evidence: Evidence, part: str, database: str) -> dict[str, Any]:
    """Return what the evidence holds in one part of one database, nothing when it holds nothing."""
    found = (evidence.get(part) or {}).get(database)
    return dict(found) if isinstance(found, dict) else {}


def refusal(evidence: Evidence, now: float) -> list[str]:
    """Return why a drill may not begin to break anything: what it would not be able to prove or to put back."""
    problems = [] if evidence["databases"] else ["the region has no component that holds data"]
    for database in evidence["databases"]:
        backup, rows = _part(evidence, "backups", database), _part(evidence, "before", database).get("rows", 0)
        if not backup.get("id"):
            problems.append(f"{database} has no good backup; run playbooks/backup.yml")
        elif (age := now - float(backup["started"])) > evidence["targets"]["rpo"]:
            limit = age_text(evidence["targets"]["rpo"])
            problems.append(
                f"the newest good backup of {database}, '{backup['id']}', is {age_text(age)} old and the target of the "
                f"RPO is {limit}; find out why there is none since, then run playbooks/backup.yml"
            )
        problems += lack_of_room(evidence, database)
        if evidence["mode"] != "prove" and not rows:
            problems.append(f"{database} holds no data, so nothing could be proven")
        if evidence["mode"] == "prove" and rows:
            problems.append(f"{database} of the sandbox holds {rows} rows; prove restores into an empty region only")
    return problems


def lack_of_room(evidence: Evidence, database: str) -> list[str]:
    """Return why a backup would not fit onto the volume of a database; nothing where nobody has looked."""
    room = _part(evidence, "room", database)
    if not room or not kind_of(evidence).destroys:
        return []
    needed = max(int(room["held"]), int(_part(evidence, "backups", database).get("size", 0)))
    available = int(room["free"]) + (0 if database in BESIDE else int(room["held"]))
    told = f"a restore of {database} needs {needed / 1e6:.0f} MB and its volume has room for {available / 1e6:.0f} MB"
    remedy = f"give `{database}.storage` a larger value and run bootstrap"
    return [] if available >= needed else [f"{told}; {remedy}"]


def unrestored(evidence: Evidence) -> list[str]:
    """Return the databases of which nothing tells that they were restored."""
    return [name for name in evidence["databases"] if not _part(evidence, "restored", name)]


def backups_of(lists: dict[str, Any]) -> Evidence:
    """Return the parts of the evidence that the lists of backups give: `backups`, the newest good ones, and `history`.

    The `size` of a backup is that of all it builds on, too.

    Args:
        lists: Database -> what the tools' command backup-list answers.
    """
    good = {name: [one for one in told["backups"] if not one["problem"]] for name, told in lists.items()}
    return {
        "backups": {name: {**found[0], "size": _size(found)} for name, found in good.items() if found},
        "history": {name: [one["started"] for one in found] for name, found in good.items()},
    }


def _size(backups: list[dict[str, Any]]) -> int:
    """Return the bytes of the first backup and of those that it builds on."""
    known = {str(one["id"]): one for one in backups}
    size, one = 0, known.get(str(backups[0]["id"]))
    while one:
        size += int(one.get("bytes", 0))
        one = known.pop(str(one.get("base", "")), None)
    return size


def chosen(evidence: Evidence) -> dict[str, str]:
    """Return the ids of the backups that are to be restored, by database: a newer one may hold what the fault left."""
    return {name: str(one["id"]) for name, one in (evidence.get("backups") or {}).items()}


def mending(left: Evidence) -> str:
    """Return what an earlier drill has left to do: "restore", "deploy" (nothing of the data was hit) or "".

    After the restore the data is there, with all that was written since: it must not be restored once more.
    """
    if not left.get("fault_at"):
        return ""
    destroyed = kind_of(left).destroys and left["phase"] in {"fault", "rebuild", "empty", "restore"}
    return "restore" if destroyed else "deploy"


def owed(evidence: Evidence) -> Evidence:
    """Return the drill whose damage must still be put right: this one, or the one before that it has not mended.

    A drill mends what was left before it breaks anything, so there is never more than one; {} where there is none.
    """
    return next((one for one in (evidence, evidence.get("left") or {}) if mending(one)), {})


def out_of_order(evidence: Evidence, phase: str) -> str:
    """Return why a phase may not begin now, "" when it may: the order is what a drill proves by."""
    done = [one["phase"] for one in evidence["phases"]]
    if phase not in PHASES:
        return f"phase '{phase}' is not known; known: {', '.join(PHASES)}"
    if done and PHASES.index(done[-1]) >= PHASES.index(phase):
        return f"phase '{phase}' does not come after '{done[-1]}'"
    return ""


def told(evidence: Evidence) -> str:
    """Return one line on a drill that has not ended, with the next command."""
    who = f"drill {evidence['run']} ({evidence.get('fault') or evidence['mode']}) was in phase {evidence['phase']}"
    broken = owed(evidence)
    if not broken:
        return f"{who}; nothing was destroyed yet; run dr_drill again, it tidies up first"
    remedy = "run dr_drill again, it restores the region first, or bootstrap and then restore"
    return f"{who}; {kind_of(broken).told}; {remedy}"
