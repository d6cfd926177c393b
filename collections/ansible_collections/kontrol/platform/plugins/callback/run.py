# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keep what a run does: its id, its journal, its record and report; and make its children die with it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: run
type: aggregate
short_description: Journal, record and report of a run
version_added: 0.1.0
author: KONTROL (@kontrol)
description:
  - Gives each run of C(ansible-playbook) an id, and marks its children with it.
  - Takes variables that could redirect a run (such as E(KUBECONFIG) and E(AWS_*)) out of the environment.
  - Makes Ansible's workers die when the controller dies.
  - Once M(kontrol.platform.session) has begun a run in a region, it journals each phase before it starts, and collects
    what the tasks' results tell as C(kontrol_objects) and C(kontrol_checks).
  - At the end it prints the checks (a line for each kind that is green, each red one whole; all of them with C(-v)),
    the duration with its definition, and the path of the report (report.html, beside it report.json and junit.xml).
    In check mode it prints the same and writes nothing. Of several regions it prints one table, with why one failed.
  - After that, it copies journal, record and report to the region's backup store (C(runs/<region>/<run>/)), also those
    of earlier runs that are not there yet. A store that does not answer is told, and fails no run.
  - On a terminal a live line tells the phase, the task and the times; it is off without colour (E(NO_COLOR),
    E(ANSIBLE_NOCOLOR)), on a dumb terminal, in CI and with any stdout callback but the default one. Where nothing was
    said for 15 seconds (30 seconds elsewhere than on a terminal) a plain line tells which task goes on.
  - Beside a stdout callback whose output programs read (json, jsonl) it speaks on standard error.
requirements:
  - enabled in configuration
"""

import atexit
import os
import re
import secrets
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ansible import constants as C  # noqa: N812 - the name that Ansible's own plugins use
from ansible import context
from ansible.plugins.callback import CallbackBase

from ansible_collections.kontrol.platform.plugins.module_utils import (
    memory,
    paths,
    process,
    region_run,
    run_facts,
    run_history,
    run_record,
    run_report,
    state,
)
from ansible_collections.kontrol.platform.plugins.module_utils.progress import Progress, Screen, can_be_live
from ansible_collections.kontrol.platform.plugins.module_utils.text_table import checks_summary, checks_table, table

if TYPE_CHECKING:
    from ansible.executor.stats import AggregateStats
    from ansible.executor.task_result import CallbackTaskResult
    from ansible.playbook import Playbook
    from ansible.playbook.task import Task

VERBS = (
    frozenset(
        {"begin", "prove", "confirm", "access", "status", "kubeconfig", "approve", "register", "last_backup"},
    )
    | frozenset(
        {
            "nothing_left",
            "precheck",
            "deploy",
            "schema",
            "verify_all",
            "verify",
            "upgrade",
            "remove",
            "backup",
            "backups",
            "restore",
        },
    )
    | frozenset({"canaries", "fault", "rebuild", "empty", "compare", "tidy", "judge"})
)
FOR_PROGRAMS = ("json", "jsonl")
FOR_PERSONS = frozenset({"default", "ansible.builtin.default"})
REVIEW = "region plan"
NO_LOG = "hidden: the task is marked no_log"
IN_ROLE = re.compile(r"/roles/(?P<role>[^/]+)/tasks/(?P<verb>[^/]+)\.yml:")


def new_run_id() -> str:
    """Return the id of a run: when it started, and four random digits."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def phase_of(path: str) -> str:
    """Return role and verb of a task from where it is written; "" for a part of a verb, which has a file of its own."""
    found = IN_ROLE.search(path or "")
    return f"{found['role']} {found['verb']}" if found and found["verb"] in VERBS else ""


def _at_terminal() -> bool:
    """Return whether standard input is a terminal. A program such as ansible-runner gives one too, and nobody types."""
    try:
        return sys.stdin.isatty() and sys.stdout.isatty()
    except (AttributeError, ValueError):
        return False


def _is_planning(task: Task) -> bool:
    """Return whether a task only looks because a plan is made (roles/region/tasks/plan.yml marks what it includes)."""
    return bool(task.get_vars().get("kontrol_check"))


def component_of(path: str) -> str:
    """Return the role of a task from where it is written; "" for a task of a playbook."""
    found = IN_ROLE.search(path or "")
    return found["role"] if found else ""


def failure_message(whole: dict[str, Any]) -> str:
    """Return why a task failed: of a loop, why its items did; nothing of a task that is marked no_log."""
    if "censored" in whole:
        return NO_LOG
    items = [one for one in whole.get("results") or [] if isinstance(one, dict) and one.get("failed")]
    told = list(dict.fromkeys(failure_message(one) for one in items))
    return "; ".join(told) or str(whole.get("msg") or "no message")


class CallbackModule(CallbackBase):
    """Adds to the output of the stdout callback, it does not replace it."""

    CALLBACK_VERSION: ClassVar[float] = 2.0
    CALLBACK_TYPE: ClassVar[str] = "aggregate"
    CALLBACK_NAME: ClassVar[str] = "kontrol.platform.run"
    CALLBACK_NEEDS_ENABLED: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._run = ""
        self._playbook = ""
        self._started = 0.0
        self._pid = 0
        self._records: dict[str, run_record.RunRecord] = {}
        self._peak = memory.Peak(0)
        self._progress: Progress | None = None
        self._to_stderr = C.DEFAULT_STDOUT_CALLBACK.rpartition(".")[2] in FOR_PROGRAMS

    def v2_playbook_on_start(self, playbook: Playbook) -> None:
        """Make the run: id, marks for the children, a clean environment."""
        self._started = time.monotonic()
        self._run = new_run_id()
        self._playbook = Path(playbook._file_name or "playbook").stem  # noqa: SLF001 - it has no public name
        self._pid = os.getpid()
        process.scrub_own_environment()
        os.environ[region_run.RUN] = self._run
        os.environ[region_run.MAIN_PID] = str(self._pid)
        os.environ[region_run.PLAYBOOK] = self._playbook
        os.environ[region_run.STARTED] = state.now()
        os.environ[region_run.PERSON] = "yes" if C.DEFAULT_STDOUT_CALLBACK in FOR_PERSONS and _at_terminal() else "no"
        process.arm_forks()
        self._peak = memory.Peak(self._pid)
        self._progress = self._new_progress()
        self._progress.start()
        atexit.register(self._at_exit)

    def v2_playbook_on_task_start(self, task: Task, is_conditional: bool) -> None:
        """Journal the phase before its first task is handed to a worker."""
        del is_conditional
        phase = REVIEW if _is_planning(task) else phase_of(task.get_path() or "")
        for record in self._records.values() if phase else ():
            if line := record.enter(phase):
                self._say(line if len(self._records) == 1 else f"{record.region}: {line}", C.COLOR_VERBOSE)
        self._tell_progress(task)

    def v2_playbook_on_handler_task_start(self, task: Task) -> None:
        """Show a handler as any task."""
        self._tell_progress(task)

    def v2_runner_on_ok(self, result: CallbackTaskResult) -> None:
        """Collect what a task did."""
        self._collect(result)

    def v2_runner_on_failed(self, result: CallbackTaskResult, ignore_errors: bool = False) -> None:
        """Collect what a task did before it failed, and why it failed."""
        self._collect(result)
        record = self._records.get(result.host.get_name())
        if record is not None and not ignore_errors:
            component = component_of(result.task.get_path() or "")
            record.fail(result.task_name, failure_message(result.result), component)

    def v2_runner_on_unreachable(self, result: CallbackTaskResult) -> None:
        """Treat a host that cannot be reached as one that failed."""
        self.v2_runner_on_failed(result)

    def v2_playbook_on_stats(self, stats: AggregateStats) -> None:
        """End the run."""
        self._stop_progress()
        closed = []
        for host, record in self._records.items():
            summary = stats.summarize(host)
            ok = not (summary["failures"] or summary["unreachable"])
            closed.append((record, self._close(record, ok=ok)))
        if len(closed) > 1:
            for line in summary_of_all(closed):
                self._say(line, C.COLOR_ERROR if line.startswith("FAILED") else None)
        self._records.clear()  # they have ended: whoever interrupts what follows interrupts no run
        for record, _ended in closed:
            if record.folder is not None and (line := run_history.keep(record.region, record.bucket)):
                self._say(f"History of region {record.region} is {line}", C.COLOR_WARN)

    def _collect(self, result: CallbackTaskResult) -> None:
        whole = result.result
        host = result.host.get_name()
        for one in [whole, *(item for item in whole.get("results") or [] if isinstance(item, dict))]:
            if session := one.get("kontrol_session"):
                self._begin(host, session)
            planning = _is_planning(result.task)
            self._print_objects([] if planning else one.get("kontrol_objects") or [])
            for line in one.get("kontrol_lines") or []:
                self._say(line)
            if record := self._records.get(host):
                if cluster := one.get("kontrol_cluster"):
                    record.reach(cluster)
                component = self._component(record, result)
                (record.plan if planning else record.add)(one, component)

    @staticmethod
    def _component(record: run_record.RunRecord, result: CallbackTaskResult) -> str:
        """Return what a result belongs to: the role that the phase is of, else the one that the task is of."""
        of_task = component_of(result.task.get_path() or "")
        if _is_planning(result.task) or not record.phases:
            return of_task
        return record.phases[-1].name.partition(" ")[0] or of_task

    def _begin(self, host: str, session: dict[str, Any]) -> None:
        folder = Path(session["folder"]) if session["folder"] else None
        record = run_record.RunRecord(self._run, session["region"], self._playbook, folder, self._started)
        record.deviations = dict(session["deviations"])
        record.target = dict(session.get("target") or {})
        record.bucket = str(session.get("bucket") or "")
        record.planned = Path(session["planned"]) if session.get("planned") else None
        record.peak = self._peak
        if folder is not None:
            record.about = {**run_facts.facts(sys.argv, paths.project_root()), "mode": _mode()}
        record.begin(self._pid)
        self._records[host] = record

    def _print_objects(self, objects: list[dict[str, Any]]) -> None:
        for one in objects:
            if one["verb"] != "none":
                color = C.COLOR_ERROR if one["verb"] in {"delete", "prune"} else C.COLOR_CHANGED
                self._say(f"{one['verb']} {one['object']} ({one['known']})", color)

    def _close(self, record: run_record.RunRecord, *, ok: bool) -> dict[str, Any]:
        if record.checks:
            self._say("")
            tell = checks_table if self._display.verbosity else checks_summary
            for line in tell(record.checks):
                self._say(line, C.COLOR_ERROR if line.startswith("FAIL") else None)
        ended = record.end(ok=ok)
        for line in summary_lines(record, ended) if len(self._records) == 1 else ():
            self._say(line, None if ok else C.COLOR_ERROR)
        return ended

    def _at_exit(self) -> None:
        """Journal and report a run that a person ended: the controller ends in order, but no stats came."""
        if os.getpid() == self._pid:
            self._stop_progress()
            for record in self._records.values():
                record.interrupted()

    def _new_progress(self) -> Progress:
        """Return what shows the progress; it shares the lock under which Ansible forks and writes."""
        color = not C.ANSIBLE_NOCOLOR
        live = C.DEFAULT_STDOUT_CALLBACK in FOR_PERSONS and can_be_live(sys.stdout, os.environ, color=color)
        lock = getattr(self._display, "_lock", None) or threading.RLock()
        screen = Screen([sys.stdout, sys.stderr], lock, live=live, clock=time.monotonic)
        return Progress(screen, lambda line: self._say(line, C.COLOR_VERBOSE), self._peak.sample)

    def _tell_progress(self, task: Task) -> None:
        if self._progress is not None:
            record = next(iter(self._records.values()), None)
            phase = record.phases[-1].name if record and record.phases else ""
            self._progress.doing(str(task.name or task.action), phase, record.place() if record else "")

    def _stop_progress(self) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _say(self, line: str, color: str | None = None) -> None:
        self._display.display(line, color=color, stderr=self._to_stderr)


def _mode() -> dict[str, bool]:
    """Return check and diff as the command set them."""
    return {name: bool(context.CLIARGS.get(name)) for name in ("check", "diff")}


def summary_lines(record: run_record.RunRecord, ended: dict[str, Any]) -> list[str]:
    """Return the last lines of a run: what, how it went, how long and by which definition, where the report is."""
    what = f"{record.playbook} in region {record.region}{_in_check_mode(record)}"
    counted = _counted(record)
    return [
        "",
        f"Run {record.run} of {what}: {ended['status']}",
        *([f"  {counted}"] if counted else []),
        *_figures(record, ended),
        f"  report: {_report(record)}",
    ]


def summary_of_all(closed: list[tuple[run_record.RunRecord, dict[str, Any]]]) -> list[str]:
    """Return the last lines of a run in several regions: how each of them went, and once what is the same for all."""
    record, ended = closed[0]
    statuses = Counter(str(one["status"]) for _record, one in closed)
    told = ", ".join(f"{number} {status}" for status, number in sorted(statuses.items(), reverse=True))
    ordered = sorted(closed, key=lambda pair: pair[0].region)
    reports = [f"  report of {one.region}: {_report(one)}" for one, _ended in ordered if one.folder is not None]
    return [
        "",
        f"Run {record.run} of {record.playbook} in {len(closed)} regions{_in_check_mode(record)}: {told}",
        *_figures(record, ended),
        *(reports or [f"  report: {_report(record)}"]),
        "",
        *table(["", "region", "what"], [_row(*one) for one in ordered]),
    ]


def _row(record: run_record.RunRecord, ended: dict[str, Any]) -> list[str]:
    """Return how one of several regions went; of one that failed, why."""
    if ended["status"] == "ok":
        return ["ok", record.region, _counted(record)]
    why = record.failures[-1]["message"] if record.failures else "no message"
    return [str(ended["status"]).upper(), record.region, why]


def _in_check_mode(record: run_record.RunRecord) -> str:
    return " (check mode)" if record.folder is None else ""


def _counted(record: run_record.RunRecord) -> str:
    """Return how many objects and checks there were, "" when none of both."""
    failed = sum(not one["ok"] for one in record.checks)
    changed = sum(one["verb"] != "none" for one in record.objects)
    verb = "would change" if record.folder is None else "changed"
    objects = f"{changed} {verb}, {len(record.objects) - changed} as declared"
    checks = f"{len(record.checks) - failed} ok, {failed} failed"
    return f"objects: {objects}; checks: {checks}" if record.objects or record.checks else ""


def _figures(record: run_record.RunRecord, ended: dict[str, Any]) -> list[str]:
    """Return what is one for all regions of a run, each figure with its definition."""
    lines = [f"  duration: {ended['seconds']} s ({run_record.DURATION})"]
    if record.peak.kib:
        lines.append(f"  memory: {record.peak.mib} MiB at its peak ({memory.SHORT_DEFINITION})")
    if record.deviations:
        listed = ", listed in the report" if record.folder else ""
        lines.append(f"  lab: {len(record.deviations)} artifacts deviate from their pins{listed}")
    return lines


def _report(record: run_record.RunRecord) -> str:
    return "none in check mode" if record.folder is None else f"{record.folder}/{run_report.HTML}"
