# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Lead a recovery drill; documented in plugins/modules/drill.py."""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Final

from ansible.utils.display import Display

from ansible_collections.kontrol.platform.plugins.action.confirm import refusal
from ansible_collections.kontrol.platform.plugins.module_utils import (
    canaries,
    damage,
    drill,
    drill_view,
    jobs,
    paths,
    room,
    run_record,
    state,
)
from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube import guard, session
from ansible_collections.kontrol.platform.plugins.module_utils.region_run import RegionRun, current_run, entry, result

Evidence = dict[str, Any]
LONGEST_FAILURE: Final = 1000


VERBS: Final = (
    "confirm",
    "begin",
    "mended",
    "settled",
    "source",
    "phase",
    "note",
    "canaries",
    "still",
    "break",
    "failed",
    "conclude",
)


class ActionModule(KontrolAction):
    """One step of a drill; what each finds is kept in the region's state folder before the next begins."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "verb": {
            "type": "str",
            "required": True,
            "choices": [*VERBS],
        },
        "region": {"type": "str", "required": True},
        "kubeconfig": {"type": "str", "default": ""},
        "protected": {"type": "bool", "default": True},
        "confirm": {"type": "str", "default": ""},
        "mode": {"type": "str", "choices": ["practice", "prove"], "default": "practice"},
        "fault": {"type": "str", "default": ""},
        "within": {"type": "float", "default": 30.0},
        "targets": {"type": "dict", "default": {}},
        "components": {"type": "list", "elements": "str", "default": []},
        "databases": {"type": "list", "elements": "str", "default": []},
        "phase": {"type": "str", "default": ""},
        "notes": {"type": "dict", "default": {}},
        "lists": {"type": "dict", "default": {}},
        "jobs": {"type": "dict", "default": {}},
        "message": {"type": "str", "default": ""},
        "source": {"type": "str", "default": ""},
        "bucket": {"type": "str", "default": ""},
        "image": {"type": "str", "default": ""},
        "private": {"type": "str", "default": ""},
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Dispatch on the verb; a drill in check mode would prove nothing and breaks nothing."""
        del task_vars
        if args["verb"] == "confirm":
            return self._confirm(args)
        if self.check_mode:
            return {"changed": False, "skipped": True, "msg": "Nothing is broken in check mode"}
        self._region = RegionRun(args["region"], current_run(), Path(args["private"]))
        verbs: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
            "begin": self._begin,
            "mended": self._mended,
            "settled": self._settled,
            "source": self._source,
            "phase": self._phase,
            "note": self._note,
            "canaries": self._canaries,
            "still": self._still,
            "break": self._break,
            "failed": self._failed,
            "conclude": self._conclude,
        }
        return verbs[args["verb"]](args)

    @property
    def _file(self) -> Path:
        return self._region.folder / drill.STATE_FILE

    @property
    def _folder(self) -> Path:
        """Folder of the run, where the evidence stays."""
        return self._region.folder / "runs" / self._region.run

    def _evidence(self) -> Evidence:
        found = state.read_json(self._file)
        if found is None or found.get("run") != self._region.run:
            raise KontrolError(f'Region "{self._region.region}" has no drill of this run; begin one first')
        return found

    def _keep(self, evidence: Evidence) -> dict[str, Any]:
        state.write_json(self._file, evidence)
        return {"changed": False, "drill": evidence, "backups": drill.chosen(evidence)}

    def _confirm(self, args: dict[str, Any]) -> dict[str, Any]:
        """Show what will be broken; refuse unless exactly this region was named and it is not protected.

        What the role needs to know of the mode and of the fault is in the answer, from the one table of faults.
        """
        known = ", ".join(drill.FAULTS)
        if args["mode"] == "practice" and args["fault"] not in drill.FAULTS:
            raise KontrolError(f"Fault '{args['fault']}' is not known; give `-e fault=` one of: {known}")
        kind = drill.kind_of(args)
        databases = args["components"]
        for verb in drill.HOLDER_VERBS:
            databases = paths.components_with(verb, databases)
        answer = {
            "changed": False,
            "databases": databases,
            "parts": drill.parts_of(args["mode"], args["fault"]),
            "destroys": kind.destroys,
            "rebuilds": kind.rebuilds,
            "through_api": args["fault"] in damage.BREAK,
        }
        lines = [
            f"Region {args['region']}: this is what the drill breaks: {kind.breaks}",
            f"  databases: {', '.join(databases) or 'none'}",
            *(["  what was written since the newest good backup is lost"] if kind.destroys else []),
        ]
        said = {"confirm": args["confirm"], "remove_foundation": ""}
        if problem := refusal(args["region"], said, protected=args["protected"]):
            if self.check_mode:
                return {**answer, "kontrol_lines": [*lines, f"  A drill would be refused: {problem}"]}
            raise KontrolError(problem, {"kontrol_lines": lines})
        return {**answer, "kontrol_lines": lines}

    def _begin(self, args: dict[str, Any]) -> dict[str, Any]:
        """Begin a drill. One that was killed is told, and what it has left to do; that is done before anything else."""
        left = state.read_json(self._file) or {}
        canaries.stop(*left.get("follower", (0, "")))
        self._forget_source(left)
        evidence: Evidence = {
            "run": self._region.run,
            "region": self._region.region,
            "mode": args["mode"],
            "fault": args["fault"],
            "began": time.time(),
            "targets": args["targets"],
            "databases": args["databases"],
            "phases": [],
            "phase": "begin",
            "left": drill.owed(left),
            "stale_writers": writers_of(left),
        }
        mend = drill.mending(evidence["left"])
        lines = [f"Before it: {drill.told(left)}"] if left else []
        return {**self._keep(evidence), "mend": mend, "kontrol_lines": lines, "backups": drill.chosen(evidence["left"])}

    def _mended(self, args: dict[str, Any]) -> dict[str, Any]:
        """Write down that what an earlier drill had left is put right."""
        del args
        return self._keep({**self._evidence(), "left": {}})

    def _phase(self, args: dict[str, Any]) -> dict[str, Any]:
        """Write down which phase begins; that of the fault first waits for a moment that nobody has chosen."""
        evidence = self._evidence()
        if problem := drill.out_of_order(evidence, args["phase"]):
            raise KontrolError(f"The drill went wrong: {problem}")
        if args["phase"] == "fault":
            time.sleep(random.SystemRandom().uniform(0.0, args["within"]))
        now = time.time()
        evidence["phase"] = args["phase"]
        evidence["phases"].append({"phase": args["phase"], "at": now})
        if args["phase"] == "fault":
            evidence["fault_at"] = now
        if args["phase"] == "restore" and evidence["mode"] == "prove":
            evidence["ordered_at"] = now
        if args["phase"] == "judge":
            evidence["verified_at"] = now
        if args["phase"] == "compare" and (hit := evidence.get("hit")):
            with session.connected(args["kubeconfig"]) as client:
                after = {name: damage.uid(client, damage.pod_path(name)) for name in hit}
            evidence["hit"] = {name: {**one, "after": after[name]} for name, one in hit.items()}
        return self._keep(evidence)

    def _note(self, args: dict[str, Any]) -> dict[str, Any]:
        """Keep what was found; before anything is broken, refuse to go on where nothing could be proven."""
        evidence = {**self._evidence(), **args["notes"]}
        if evidence["phase"] == "precheck":
            evidence |= {**drill.backups_of(args["lists"]), "secrets_before": self._sealed()}
            with session.connected(args["kubeconfig"]) as client:
                evidence["room"] = {name: room.look(client, name) for name in evidence["databases"]}
        if evidence["phase"] == "compare":
            evidence["secrets_after"] = self._sealed()
        if evidence["phase"] == "compare" and evidence["mode"] == "prove":
            evidence["source_after"] = listing(evidence["source"])
        kept = self._keep(evidence)
        if evidence["phase"] == "precheck" and (problems := drill.refusal(evidence, time.time())):
            raise KontrolError(f"The drill did not begin, nothing was broken: {'; '.join(problems)}")
        if evidence["phase"] == "restore" and (missing := drill.unrestored(evidence)):
            raise KontrolError(f"Nothing was restored of {', '.join(missing)}")
        return kept

    def _settled(self, args: dict[str, Any]) -> dict[str, Any]:
        """Forget a drill that was killed, and end its writers: a person has restored the region and verified it."""
        left = state.read_json(self._file) or {}
        self._end_writers(args["kubeconfig"], left)
        self._forget_source(left)
        self._file.unlink(missing_ok=True)
        return {"changed": False, "kontrol_lines": [f"Settled: {drill.told(left)}"] if left else []}

    def _source(self, args: dict[str, Any]) -> dict[str, Any]:
        """Let the sandbox read the backups of the source, by keys of its own; nothing of the source is written."""
        if args["source"] == args["region"]:
            raise KontrolError(f"Source and target are both '{args['region']}'; the target is another, empty region")
        store = self._region.source_store(args["image"], args["source"])
        secrets = self._region.secret_store()
        secrets.ensure_all([drill.ACCESS_SECRET, drill.SECRET_SECRET])
        before = listing(args["source"])
        kept = self._keep({**self._evidence(), "source": args["source"], "source_before": before})
        store.ensure(secrets.get(drill.ACCESS_SECRET), secrets.get(drill.SECRET_SECRET))
        keys = {"access": drill.ACCESS_SECRET, "secret": drill.SECRET_SECRET}
        return {**kept, "store": {"endpoint": store.endpoint, "bucket": args["bucket"], **keys}}

    def _sealed(self) -> str:
        """Return a digest of all secrets that tells whether they are the same, and nothing else."""
        store = self._region.secret_store()
        return store.seal(json.dumps(store.values(), sort_keys=True))

    def _canaries(self, args: dict[str, Any]) -> dict[str, Any]:
        """Start the writers, {database: Job}, and the follower; wait until canaries of all are acknowledged."""
        evidence = self._evidence()
        self._end_writers(args["kubeconfig"], evidence)
        writers = []
        with session.connected(args["kubeconfig"]) as client:
            guard.check(client)
            for database, job in args["jobs"].items():
                spec = jobs.JobSpec(component=database, **job)
                name = jobs.make(client, spec, self._region.run.rpartition("-")[2])
                writers.append(canaries.Writer(database, spec.namespace, name))
                evidence["writers"] = [one.__dict__ for one in writers]
                self._keep(evidence)
        orders = canaries.Orders(args["kubeconfig"], str(self._folder), tuple(writers))
        evidence["follower"] = list(canaries.start(orders))
        self._keep(evidence)
        canaries.wait_first(self._folder, [one.database for one in writers])
        return self._keep(evidence)

    def _still(self, args: dict[str, Any]) -> dict[str, Any]:
        """Stop the writers and the follower; a writer that went down with what was broken is fine."""
        evidence = self._evidence()
        try:
            self._end_writers(args["kubeconfig"], evidence)
        finally:
            canaries.stop(*evidence.get("follower", (0, "")))
            self._forget_source(evidence)
        return self._keep(evidence)

    def _end_writers(self, kubeconfig: str, evidence: Evidence) -> None:
        """Delete the Jobs that write canaries, those of killed drills too, and forget them; not without a cluster."""
        found = writers_of(evidence)
        if not kubeconfig or not found:
            return
        with session.connected(kubeconfig) as client:
            guard.check(client)
            for one in found:
                jobs.delete(client, one["namespace"], one["job"])
        evidence |= {"writers": [], "stale_writers": []}

    def _forget_source(self, evidence: Evidence) -> None:
        """Remove the server by which a sandbox reads the backups of its source."""
        if evidence.get("source"):
            self._region.source_store("", evidence["source"]).remove()

    def _break(self, args: dict[str, Any]) -> dict[str, Any]:
        """Do the damage that is done through the API server."""
        evidence = self._evidence()
        act = damage.BREAK[evidence["fault"]]
        with session.connected(args["kubeconfig"]) as client:
            pods = {one: damage.pod_path(one) for one in evidence["databases"]}
            evidence["hit"] = {one: {"before": damage.uid(client, path)} for one, path in pods.items()}
            self._keep(evidence)
            hit = [path for one in client.map(lambda name: act(client, name), evidence["databases"]) for path in one]
        return result([entry(path, "delete") for path in hit], drill=evidence)

    def _failed(self, args: dict[str, Any]) -> dict[str, Any]:
        """Write down in which phase it failed, and why."""
        evidence = self._evidence()
        evidence["failed"] = {"phase": evidence["phase"], "message": args["message"][:LONGEST_FAILURE]}
        return self._keep(evidence)

    def _conclude(self, args: dict[str, Any]) -> dict[str, Any]:
        """Judge the drill, write its report and its line in the history, tell the verdict; red is a failure."""
        del args
        evidence = self._evidence()
        evidence["ended"] = time.time()
        if evidence.get("verified_at"):
            evidence["verified"] = drill.checks_made(state.read_lines(self._folder / run_record.JOURNAL))
        heard = {name: canaries.acknowledged(self._folder, name) for name in evidence["databases"]}
        verdict = drill.judge(evidence, heard)
        told = drill_view.result(evidence, heard, verdict)
        state.write_json(self._folder / drill.RESULT, told)
        history = self._region.folder / drill.HISTORY
        state.append_line(history, drill_view.line(told))
        state.write_text(self._folder / drill_view.PAGE, drill_view.page(told, state.read_lines(history)))
        if verdict.proven or not drill.owed(evidence):
            self._file.unlink(missing_ok=True)
        else:
            state.write_json(self._file, evidence)
        lines = drill_view.lines(told, str(self._folder))
        Display().display("\n".join(lines))
        answer = {"changed": False, "kontrol_checks": verdict.checks, "drill": told}
        if not verdict.ok:
            raise KontrolError(f"The drill is red: {'; '.join(verdict.reasons)}", answer)
        return answer


def writers_of(evidence: Evidence) -> list[dict[str, str]]:
    """Return the Jobs that write canaries of a drill and, where it has not ended them yet, of killed ones before it."""
    return [*evidence.get("stale_writers", []), *evidence.get("writers", [])]


def listing(source: str) -> str:
    """Return a digest of what the backup store of a region holds: names, sizes and times of its files."""
    folder = paths.region_state(source) / "backups" / "data"
    found = [(path, path.stat()) for path in sorted(folder.rglob("*")) if path.is_file()]
    lines = [f"{path.relative_to(folder)} {stat.st_size} {stat.st_mtime_ns}" for path, stat in found]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest() if lines else ""
