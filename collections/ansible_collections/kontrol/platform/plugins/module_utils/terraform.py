"""Terraform, or OpenTofu, behind one class: what it is given, what it would do, what its errors mean (design rule 9).

Nothing is written to the checkout, no value is an argument, nothing of the caller's TF_* reaches it, and what is
applied is the very plan that was read. No workspaces: each region has a state key of its own for each of its states.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import paths, state
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.process import (
    Completed,
    Runner,
    ToolError,
    outlive_parent,
    scrubbed_env,
)
from ansible_collections.kontrol.platform.plugins.module_utils.terraform_plan import MANAGED, Plan
from ansible_collections.kontrol.platform.plugins.module_utils.upgrades import version_of
from ansible_collections.kontrol.platform.plugins.module_utils.warden import GRACE_VARIABLE

STORE: Final = "state"
"""The state of what keeps all states; it belongs to no region."""
STATES: Final = (STORE, "foundation", "cluster")
MINIMUM: Final = {"terraform": (1, 5, 0), "tofu": (1, 6, 0)}
READING: Final = frozenset({"version", "init", "validate", "plan", "show", "output"})
"""All that is called in check mode; none of them changes the state or the cloud."""
PRINTING: Final = frozenset({"version", "show", "output"})
"""Those that print JSON, without colours by themselves."""
CHANGED: Final = 2
"""Exit code of a plan that would change something."""
LOCK_TIMEOUT: Final = 30.0
GRACE_SECONDS: Final = 60.0
TICK: Final = 0.1
VARIABLES: Final = "kontrol.auto.tfvars.json"
BACKEND: Final = "backend.json"
PLAN: Final = "kontrol.plan"
STAGED: Final = "staged.json"
SOURCE: Final = "source"
UNSAVED: Final = "errored.tfstate"
LOCK_FILE: Final = ".terraform.lock.hcl"
PROBE: Final = "terraform_data.kontrol_lock_probe"
LONGEST: Final = 700
_NOT_SOURCE: Final = re.compile(r"\.terraform|\.git|.*\.tfstate(\..*)?|.*\.tfvars(\.json)?|crash\.log|kontrol\.plan")
_GIVEN: Final = ("TF_TOKEN_", "TF_HTTP_")
_NAME: Final = re.compile(r"[A-Za-z_][\w-]*")
_LOCK_ID: Final = re.compile(r"[\w][\w.:/=+-]*")
_ANSI: Final = re.compile(r"\x1b\[[0-9;]*m")
_BOX: Final = re.compile(r"^[╷│╵] ?")
_SNIPPET: Final = re.compile(r"\s+(\d+: |\d+:$|[├│])")
_LOCK_FIELD: Final = re.compile(r"^ +(ID|Path|Operation|Who|Version|Created|Info):[ \t]*(.*)$", re.MULTILINE)
_NO_STORE: Final = re.compile(r'S3 bucket "[^"]*" does not exist')
_HELD: Final = re.compile(r"already locked:\s*ID=(\S+)")
_CREATED: Final = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d(?:\.\d{1,6})?)")
_PROGRESS: Final = re.compile(
    r"""((?:[\w.-]|\["[^"]*"\]|\[\d+\])+:\ (?:
        (?:Creating|Modifying|Destroying|Reading|Still\ \w+)\.\.\.
        |(?:Creation|Modifications|Destruction)\ complete\ after\ \w+
    ))(?:\ \[|$)""",
    re.VERBOSE,
)


class TerraformError(ToolError):
    """Terraform could not do what it was asked; the text holds no value of a variable."""


class TerraformCancelledError(TerraformError):
    """The run was cancelled, or took too long, while terraform was at work."""


class StoreMissingError(TerraformError):
    """There is no bucket to keep states in: nothing was ever made here, or not under this name."""


class StateLockedError(TerraformError):
    """The state is locked by somebody else, or by a run that was killed.

    Attributes:
        lock: Whose lock it is, as far as the backend tells.
    """

    def __init__(self, stack: str, lock: LockInfo) -> None:
        super().__init__(
            f'State of stack "{stack}" is locked by {lock.told()}; wait until that run has ended, or, when it is dead, '
            f"run again with -e unlock={lock.id}"
        )
        self.lock = lock


@dataclass(frozen=True)
class LockInfo:
    """What terraform tells of a lock; all but the id may be empty."""

    id: str
    path: str = ""
    operation: str = ""
    who: str = ""
    version: str = ""
    created: str = ""
    info: str = ""

    @classmethod
    def parse(cls, text: str) -> LockInfo | None:
        """Return the lock that an error of terraform or tofu is about, None when it is about none."""
        plain = "\n".join(_plain_lines(text))
        fields = {name.lower(): value.strip() for name, value in _LOCK_FIELD.findall(plain.partition("Lock Info:")[2])}
        held = _HELD.search(plain)
        if held and held[1] != fields.get("id"):
            return cls(held[1])  # the http backend tells who asks, not who holds: seen with terraform 1.11
        if not fields.get("id"):
            return None
        fields["operation"] = fields.get("operation", "").removeprefix("OperationType").lower()
        return cls(**fields)

    def age(self, at: datetime | None = None) -> str:
        """Return how long it is held, as "7 min"; "" when terraform does not tell."""
        match = _CREATED.match(self.created)
        return state.age_text(state.age_seconds(f"{match[1]}T{match[2]}+00:00", at)) if match else ""

    def told(self) -> str:
        """Return owner, operation, age and id for a person."""
        if not self.who:
            return f'another run, of which the backend tells no more than its lock "{self.id}"'
        age = f", for {self.age()}" if self.age() else ""
        return f'"{self.who}", operation "{self.operation}"{age}, lock "{self.id}"'


@dataclass(frozen=True, repr=False)
class Output:
    """One output of a stack; a sensitive value is not in its repr."""

    value: Any
    sensitive: bool

    def __repr__(self) -> str:
        return f"Output({'(sensitive)' if self.sensitive else repr(self.value)})"


class Outputs(dict[str, Output]):
    """The outputs of a stack by name; one whose value is null is not among them."""

    def value(self, name: str) -> Any:
        """Return the value of an output, sensitive or not.

        Raises:
            TerraformError: There is no such output.
        """
        if name not in self:
            raise TerraformError(f'Output "{name}" is not there; apply the stack that declares it first')
        return self[name].value


@dataclass(frozen=True, repr=False)
class Setup:
    """What a stack is given besides its source.

    Attributes:
        backend: Settings of its backend, which the stack declares with an empty block.
        variables: Its variables: JSON values, unchanged to the last character; text is not evaluated. Terraform itself
            composes letters and accents (NFC). None is null: the default of a variable that says `nullable = false`.
        env: Credentials of its providers and backend, as variables of the environment.
        plugin_dir: Folder of providers, so that none is downloaded.
        root: The folder to copy, where the stack refers to modules beside it; by default the stack alone.
    """

    backend: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, Any] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    plugin_dir: Path | None = None
    root: Path | None = None


def work_dir(region: str, name: str) -> Path:
    """Return the working directory of one state of a region, which outlives the run: the state may be in it."""
    return paths.region_state(region) / "terraform" / _known_state(name)


def state_key(region: str, name: str) -> str:
    """Return the key in a shared backend of one state of a region."""
    key = f"{_known_state(name)}.tfstate"
    return key if name == STORE else f"{region}/{key}"


def _known_state(name: str) -> str:
    if name not in STATES:
        raise KontrolError(f'State "{name}" is not known; use one of: {", ".join(STATES)}')
    return name


class GentleRunner:
    """A Runner that lets terraform give its lock back: interrupted once, waited for, and killed only then.

    It has a process group of its own, so that Ctrl-C in a terminal does not reach it twice (the second time it would
    stop at once). When this process dies by whatever signal, a watcher interrupts it, once as well.

    Args:
        cancelled: Asked ten times a second whether to stop.
        grace: Seconds that it may take to stop.
    """

    def __init__(self, cancelled: Callable[[], bool] = lambda: False, grace: float = GRACE_SECONDS) -> None:
        self._cancelled = cancelled
        self._grace = grace

    def __call__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        input: str | None = None,  # noqa: A002 - the name in Runner
        timeout: float | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Completed:
        """Run terraform to its end; `on_line` hears both outputs.

        Raises:
            TerraformCancelledError: It was cancelled or took too long.
            ToolError: It cannot be started.
        """
        if input is not None or not Path(argv[0]).is_absolute():
            raise ToolError(f'Program "{argv[0]}" is to be given by its absolute path and without input')
        started = time.monotonic()
        with contextlib.ExitStack() as stack:
            stdout, stderr = (stack.enter_context(_sink()) for _number in range(2))
            process = self._start(list(argv), env or {}, stdout, stderr)
            watcher = _watch(process.pid)
            stack.callback(_dismiss, watcher)
            stack.enter_context(_terminated_as_interrupted())
            try:
                self._follow(process, None if timeout is None else started + timeout, (stdout, stderr), on_line)
            except BaseException as error:
                self._stop(process, watcher, error)
                raise
            if process.returncode < 0:
                _end_group(process.pid)
            out, err = (_all(sink).decode(errors="replace") for sink in (stdout, stderr))
        return Completed(process.returncode, out, err, time.monotonic() - started)

    def _start(
        self, argv: list[str], env: Mapping[str, str], stdout: IO[bytes], stderr: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        kept = {name: value for name, value in scrubbed_env().items() if not name.startswith("TF_")}
        try:
            return subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=kept | dict(env) | {GRACE_VARIABLE: f"{self._grace:g}"},
                process_group=0,
                preexec_fn=_detached(),  # noqa: PLW1509 - two system calls between fork and exec
            )
        except OSError as error:
            raise ToolError(f'Program "{argv[0]}" could not be started: {error.strerror}') from error

    def _follow(
        self,
        process: subprocess.Popen[bytes],
        deadline: float | None,
        sinks: Sequence[IO[bytes]],
        on_line: Callable[[str], None] | None,
    ) -> None:
        """Wait for the end, and hand each line on meanwhile."""
        heard = [0] * len(sinks)
        ended = False
        while not ended:
            self._check(deadline)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(TICK)
                ended = True
            for at, sink in enumerate(sinks):
                heard[at] += _hear(sink, heard[at], on_line)

    def _check(self, deadline: float | None) -> None:
        if self._cancelled():
            raise TerraformCancelledError("Terraform was cancelled")
        if deadline is not None and time.monotonic() > deadline:
            raise TerraformCancelledError("Terraform took too long and was ended")

    def _stop(self, process: subprocess.Popen[bytes], watcher: subprocess.Popen[bytes], error: BaseException) -> None:
        """Interrupt it once and wait; say in a cancellation of our own whether the lock was given back."""
        process.send_signal(signal.SIGINT)
        left = "it stopped by itself and gave its lock back"
        try:
            _dismiss(watcher)
            process.wait(self._grace)
        except subprocess.TimeoutExpired:
            left = f"it did not stop within {self._grace:g} s and was killed, so the next run may find its lock"
        finally:
            _end_group(process.pid)
            process.wait()
        if isinstance(error, TerraformCancelledError):
            error.args = (f"{error}: {left}; run again, what was made so far is in the state",)


def _end_group(leader: int) -> None:
    """Kill what is left of terraform's process group: providers and provisioners work on when it was killed."""
    with contextlib.suppress(OSError):
        os.killpg(leader, signal.SIGKILL)


def _sink() -> IO[bytes]:
    """Return what terraform may write to even after our death: a pipe that nobody reads would kill it, lock and all.

    It is memory where the system has that, since plans and outputs hold secrets.
    """
    if hasattr(os, "memfd_create"):
        return os.fdopen(os.memfd_create("terraform"), "w+b")
    return tempfile.TemporaryFile()


def _all(sink: IO[bytes], start: int = 0) -> bytes:
    """Return what was written since, without moving the place where the next writing goes."""
    return os.pread(sink.fileno(), os.fstat(sink.fileno()).st_size - start, start)


def _hear(sink: IO[bytes], start: int, on_line: Callable[[str], None] | None) -> int:
    """Hand the whole lines on that were written since; return how many bytes they are."""
    data = b"" if on_line is None else _all(sink, start)
    whole = data.rpartition(b"\n")[0]
    if on_line and whole:
        for line in whole.decode(errors="replace").split("\n"):
            on_line(line.rstrip())
    return len(whole) + 1 if whole else 0


def _detached() -> Callable[[], None]:
    """Return what makes a child hear SIGINT, which a run in the background ignores, and not be killed as we die."""
    outlive = outlive_parent()

    def detach() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        outlive()

    return detach


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Turn SIGTERM into KeyboardInterrupt where nobody handles it; only the main thread can."""
    ours = threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    if ours:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        if ours:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _watch(pid: int) -> subprocess.Popen[bytes]:
    """Start what interrupts a process when this one dies by whatever signal, before it is dismissed.

    It waits for the end of a pipe that only we hold. Not the kernel's PR_SET_PDEATHSIG: of a parent with threads, that
    comes once for each of them, and at the second interrupt terraform leaves its lock behind.
    """
    return subprocess.Popen(
        ["/bin/sh", "-c", 'read -r word || kill -INT "$1"', "watch", str(pid)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={},  # nor does it carry the mark by which the warden kills what is left of a run
        start_new_session=True,
    )


def _dismiss(watcher: subprocess.Popen[bytes]) -> None:
    if watcher.poll() is None:
        with contextlib.suppress(OSError):
            watcher.communicate(b"dismissed\n")


class Terraform:
    """One stack of one region: its source in a private working directory, and terraform at work there.

    Args:
        program: Absolute path of terraform or tofu.
        stack: Folder of the stack in the checkout, which is only read.
        work: Working directory, of this region and state alone; see `work_dir`.
        runner: Runs the program; by default gently.
        setup: What the stack is given.
        check: Whether only to look: what would change anything raises instead.
        on_progress: Called with what terraform tells while it applies, without values.
    """

    def __init__(
        self,
        program: Path,
        stack: Path,
        work: Path,
        runner: Runner | None = None,
        *,
        setup: Setup | None = None,
        check: bool = False,
        on_progress: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._program = program
        self._product = "tofu" if "tofu" in program.name else "terraform"
        self._stack = stack
        self._work = work
        self._run = runner or GentleRunner()
        self._setup = setup or Setup()
        self._check = check
        self._on_progress = on_progress
        self._root = self._setup.root or stack
        if not stack.is_relative_to(self._root):
            raise TerraformError(f'Stack "{stack}" is not in the folder "{self._root}" that is to be copied; give both')
        self._folder = work / SOURCE / stack.relative_to(self._root)
        self._ready = False

    def version(self) -> str:
        """Return the version of the program, after it was found to be new enough."""
        minimum = MINIMUM[self._product]
        try:
            found = str(self._json("version")["terraform_version"])
            new_enough = version_of(found) >= minimum
        except (ValueError, KeyError) as error:
            raise TerraformError(f'Program "{self._program}" tells no version; is it terraform or tofu?') from error
        if not new_enough:
            needed = ".".join(map(str, minimum))
            raise TerraformError(f'Program "{self._program}" is {self._product} "{found}", needed is {needed} or later')
        return found

    def init(self) -> None:
        """Copy the source, write what the stack is given, and make the working directory ready.

        Raises:
            KontrolError: The program is too old, a value cannot be given, or the backend cannot be reached.
        """
        self.version()
        if not any(self._stack.glob("*.tf")) and not any(self._stack.glob("*.tf.json")):
            # Terraform's init takes an empty folder for a new beginning, and destroys from there too.
            raise TerraformError(f'Stack "{self._stack}" has no file *.tf; give the folder of a stack')
        state.make_private_dir(self._work).chmod(state.PRIVATE_DIR)
        stage(self._root, self._work)
        state.write_text(self._folder / VARIABLES, json_text(self._setup.variables, "Variable"))
        arguments = []
        if self._setup.backend:
            state.write_text(self._work / BACKEND, json_text(self._setup.backend, "Backend setting"))
            arguments.append(f"-backend-config={self._work / BACKEND}")
        if self._setup.plugin_dir is not None:
            arguments.append(f"-plugin-dir={self._setup.plugin_dir}")
        elif self._product == "terraform" and (self._stack / LOCK_FILE).exists():
            arguments.append("-lockfile=readonly")  # the copy would be changed, and nobody would see it
        self._must("init", "-input=false", *arguments)
        if self._setup.backend and not self._recorded_backend():
            raise TerraformError(
                f'Stack "{self._stack.name}" declares no backend, so its state would stay in a working directory; '
                'give it an empty block such as backend "s3" {}'
            )
        self._ready = True

    def validate(self) -> None:
        """Raise TerraformError with what is wrong in the stack, if anything is."""
        self._initialised()
        self._must("validate")

    def plan(self, *, destroy: bool = False, lock_timeout: float = LOCK_TIMEOUT) -> Plan:
        """Return what would change, from a plan file that `apply` takes.

        Args:
            destroy: Plan to destroy everything that is in the state.
            lock_timeout: Seconds to wait while another run holds the state.

        Raises:
            StateLockedError: Another run holds it, or did when it was killed.
            TerraformError: The plan cannot be made, or an earlier state was never saved.
        """
        self._initialised()
        self._refuse_unsaved()
        file = self._work / PLAN
        state.write_text(file, "")  # terraform keeps the mode of a file that is there, 0600
        arguments = ["-input=false", "-detailed-exitcode", f"-out={file}", _seconds(lock_timeout)]
        done = self._call("plan", *arguments, *(["-destroy"] if destroy else []))
        if done.rc not in {0, CHANGED}:
            raise self._failure("plan", done)
        file.chmod(state.PRIVATE_FILE)
        digest = _digest(file)
        shown = self._json("show", str(file))
        return Plan.from_json(shown, file=file, digest=digest, changed=done.rc == CHANGED, destroy=destroy)

    def apply(self, plan: Plan, *, lock_timeout: float = LOCK_TIMEOUT) -> None:
        """Do what a plan says, if it changes anything; its file is gone afterwards.

        Raises:
            StateLockedError: Another run holds the state, or did when it was killed.
            TerraformError: The file is not the one that was read, or something failed; what was done is in the state.
        """
        self._allowed("apply")
        self._initialised()
        if plan.file != self._work / PLAN or not plan.file.exists() or _digest(plan.file) != plan.digest:
            raise TerraformError(f'Plan file "{plan.file}" is not the one that was read; plan again')
        try:
            if plan.changed:
                self._must("apply", "-input=false", _seconds(lock_timeout), str(plan.file))
        finally:
            plan.file.unlink(missing_ok=True)

    def destroy(self, review: Callable[[Plan], None], *, lock_timeout: float = LOCK_TIMEOUT) -> Plan:
        """Destroy all that is in the state, also what an apply left that failed half way.

        Args:
            review: Is shown the plan before anything is destroyed; raises to stop it.
            lock_timeout: Seconds to wait while another run holds the state.

        Returns:
            The plan that was carried out.
        """
        self._allowed("destroy")
        plan = self.plan(destroy=True, lock_timeout=lock_timeout)
        review(plan)
        self.apply(plan, lock_timeout=lock_timeout)
        return plan

    def outputs(self) -> Outputs:
        """Return the outputs of the last apply; none where nothing was applied."""
        self._initialised()
        found = self._json("output")
        return Outputs({name: Output(one["value"], bool(one["sensitive"])) for name, one in found.items()})

    def resources(self) -> list[str]:
        """Return the addresses of all that the state holds, also of what a failed apply left; data sources are none."""
        self._initialised()
        values = self._json("show").get("values") or {}
        return sorted(_managed(values.get("root_module") or {}))

    def lock(self) -> LockInfo | None:
        """Return who holds the state, None when nobody does.

        There is no command for it. This one takes the lock, finds nothing to do, and gives it back.
        """
        self._initialised()
        try:
            self._must("untaint", "-allow-missing", _seconds(0), PROBE)
        except StateLockedError as error:
            return error.lock
        return None

    def unlock(self, lock_id: str) -> None:
        """Take away the lock of a run that is dead, if it is the one that holds the state.

        Terraform does not check that with every backend: over http it takes away whatever lock there is.

        Raises:
            TerraformError: Nobody holds the state, or another lock than this one does, or its run is evidently alive.
        """
        self._allowed("unlock")
        if not _LOCK_ID.fullmatch(lock_id):
            raise TerraformError(f'Lock id "{lock_id}" is none; give the one that the error named')
        held = self.lock()
        if held is None:
            raise TerraformError(f'State of stack "{self._stack.name}" is not locked; run again without -e unlock')
        if held.id != lock_id:
            raise TerraformError(
                f'Lock "{lock_id}" does not hold the state of stack "{self._stack.name}"; it is held by {held.told()}'
            )
        if pids := self._at_work():
            raise TerraformError(
                f'Lock "{lock_id}" of stack "{self._stack.name}" is not left by a dead run: {self._product} is at work '
                f"there, process {pids[0]}; wait until it has ended, or interrupt it once with `kill -INT {pids[0]}`"
            )
        self._must("force-unlock", "-force", lock_id)

    def clean(self) -> None:
        """Remove what holds values from the working directory; `init` writes it again."""
        for file in (self._folder / VARIABLES, self._work / BACKEND, self._work / PLAN):
            file.unlink(missing_ok=True)
        self._ready = False

    def _at_work(self) -> list[int]:
        """Return the processes of terraform in this working directory; on other machines nobody can look."""
        folder, found = self._folder.resolve(), []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                words = (process / "cmdline").read_bytes().split(b"\0")
                if (process / "cwd").readlink() == folder and self._program.name in map(_file_name, words):
                    found.append(int(process.name))
        return sorted(found)

    def _call(self, verb: str, *arguments: str) -> Completed:
        if verb not in READING:
            self._allowed(verb)
        where = [] if verb == "version" else [f"-chdir={self._folder}"]
        plain = [] if verb in PRINTING else ["-no-color"]
        argv = [str(self._program), *where, verb, *plain, *arguments]
        return self._run(argv, env=self._environment(), on_line=self._progress if verb == "apply" else None)

    def _must(self, verb: str, *arguments: str) -> str:
        """Return the standard output of a command that ended well."""
        done = self._call(verb, *arguments)
        if done.rc != 0:
            raise self._failure(verb, done)
        return done.stdout

    def _json(self, verb: str, *arguments: str) -> dict[str, Any]:
        """Return the mapping that a command prints as JSON."""
        text, found = self._must(verb, "-json", *arguments), None
        with contextlib.suppress(ValueError):
            found = json.loads(text)
        if not isinstance(found, dict):
            raise TerraformError(f'Terraform {verb} of stack "{self._stack.name}" printed no JSON; is it terraform?')
        return found

    def _environment(self) -> dict[str, str]:
        """Return what terraform finds in its environment; a variable of terraform's own cannot come in by it."""
        wrong = [name for name in self._setup.env if name.startswith("TF_") and not name.startswith(_GIVEN)]
        if wrong:
            raise KontrolError(f'Variable "{wrong[0]}" would change what terraform does; give it as a setting')
        return {"TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1", **self._setup.env}

    def _failure(self, verb: str, done: Completed) -> TerraformError:
        """Return the error that a failed command means."""
        name = self._stack.name
        if lock := LockInfo.parse(done.stderr):
            return StateLockedError(name, lock)
        if _NO_STORE.search(done.stderr):
            return StoreMissingError(f'State of stack "{name}" has no bucket to be kept in; make the foundation first')
        said = sentences(done.stderr) or [line for line in _plain_lines(done.stderr) if line][-3:]
        text = hide("; ".join(said), {**self._setup.variables, **self._setup.env, **_secret(self._setup.backend)})
        ended = f"was ended by signal {-done.rc}" if done.rc < 0 else "failed"
        remedy = "correct it and run again"
        if verb == "apply":
            killed = done.rc == -signal.SIGKILL
            remedy += (
                ", " + ("what was made last may not be" if killed else "what was made so far is") + " in the state"
            )
        return TerraformError(f'Terraform {verb} of stack "{name}" {ended}: {text or "it said nothing"}; {remedy}')

    def _progress(self, line: str) -> None:
        match = _PROGRESS.match(_ANSI.sub("", line))
        if match:
            self._on_progress(hide(match[1].strip(), self._setup.variables))

    def _allowed(self, verb: str) -> None:
        if self._check:
            raise TerraformError(
                f'Terraform {verb} of stack "{self._stack.name}" is not for check mode; run without it'
            )

    def _initialised(self) -> None:
        if not self._ready:
            raise TerraformError(f'Stack "{self._stack.name}" is not initialised; call init first')

    def _recorded_backend(self) -> bool:
        record = state.read_json(self._folder / ".terraform" / "terraform.tfstate")
        return bool((record or {}).get("backend"))

    def _refuse_unsaved(self) -> None:
        """Stop where an apply could not save its state: a plan without it would make everything twice."""
        if (self._folder / UNSAVED).exists():
            raise TerraformError(
                f'State in "{self._folder / UNSAVED}" was never saved to its backend; save it with '
                f"`{self._program.name} -chdir={self._folder} state push {UNSAVED}`, remove the file and run again"
            )


def stage(root: Path, work: Path) -> None:
    """Make `work/source` a copy of a source, and leave what terraform itself keeps there.

    Files with variables are not copied: what the stack is given is all that it gets.
    """
    target, record = work / SOURCE, work / STAGED
    files = {}
    for folder, names, found in os.walk(root, followlinks=True):
        names[:] = [name for name in names if not _NOT_SOURCE.fullmatch(name)]
        here = Path(folder).relative_to(root)
        files.update({str(here / name): Path(folder) / name for name in found if not _NOT_SOURCE.fullmatch(name)})
    before = set((state.read_json(record) or {}).get("files", []))
    state.write_json(record, {"files": sorted(before | files.keys())})  # a kill while copying loses none of them
    for name in before - files.keys():
        (target / name).unlink(missing_ok=True)
    for name, source in files.items():
        copy = target / name
        state.make_private_dir(copy.parent)
        copy.unlink(missing_ok=True)
        shutil.copy2(source, copy)
    state.write_json(record, {"files": sorted(files)})


def json_text(values: Mapping[str, Any], what: str) -> str:
    """Return values as JSON that terraform reads back as they are.

    Raises:
        KontrolError: A name or value that JSON, or terraform, does not have; the text names it and not its value.
    """
    for name in values:
        if not _NAME.fullmatch(name):
            raise KontrolError(f'{what} "{name}" is no name of terraform; use letters, digits, "_" and "-"')
    plain = {name: _plain(value, f'{what} "{name}"') for name, value in values.items()}
    return json.dumps(plain, ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def _plain(value: Any, where: str) -> Any:
    """Return a value made of JSON's own types, whatever tagged types of Ansible it came in."""
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, str) and not any("\ud800" <= char <= "\udfff" for char in value):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [_plain(one, where) for one in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {str(key): _plain(one, where) for key, one in value.items()}
    raise KontrolError(f"{where} holds a {type(value).__name__} that JSON does not have; give text, numbers or lists")


def sentences(text: str) -> list[str]:
    """Return the errors in what terraform wrote, each as one sentence without frames, colours and lines of source.

    The lines of source are left out for a reason: of a file of variables, terraform shows all values.
    """
    blocks: list[list[str]] = []
    inside = False
    for line in _plain_lines(text):
        if line.startswith("Error: "):
            blocks.append([line.removeprefix("Error: ")])
            inside = True
        elif line.startswith("Warning: "):
            inside = False
        elif inside:
            blocks[-1].append(line)
    return list(dict.fromkeys(_sentence(block) for block in blocks))


def _sentence(block: list[str]) -> str:
    """Return "summary: detail (where)" of one error."""
    text = "\n".join(line for line in block if not _SNIPPET.match(line))
    summary, *rest = [part for part in re.split(r"\n\s*\n", text) if part.strip()]
    places = [part for part in rest if re.match(r" +(with|on) ", part)]
    # The advice to do without a lock is not passed on.
    details = [one for one in rest if one not in places and not one.startswith("Terraform acquires a state lock")]
    where = ", ".join(_place(line) for part in places for line in part.splitlines())
    said = ": ".join(part for part in (" ".join(summary.split()), " ".join(" ".join(details).split())) if part)
    said = said.rstrip(".") if len(said) <= LONGEST else said[:LONGEST] + "..."
    return f"{said} ({where})" if where else said


def _place(line: str) -> str:
    """Return "main.tf line 3" of "on main.tf line 3, in resource ...:", and the address of "with address,"."""
    return re.sub(r"^ *(with|on) |,? in .*$|[,:]$", "", line)


def _plain_lines(text: str) -> list[str]:
    """Return the lines without colours and without the left side of frames."""
    return [_BOX.sub("", line).rstrip() for line in _ANSI.sub("", text).splitlines()]


def hide(text: str, values: Mapping[str, Any]) -> str:
    """Return a text with names in the place of values: long ones wherever they are, short ones as words, in quotes."""
    shapes: dict[str, str] = {}
    for name, leaf in _leaves(values):
        for shape in (leaf, json.dumps(leaf, ensure_ascii=False)[1:-1]):
            shapes.setdefault(" ".join(shape.split()), name)
    shapes.pop("", None)
    longest_first = sorted(shapes, key=len, reverse=True)
    pattern = re.compile("|".join(f"({_shape(one)})" for one in longest_first) or r"(?!)")
    return pattern.sub(lambda match: f"(value of {shapes[longest_first[(match.lastindex or 1) - 1]]})", text)


def _shape(text: str) -> str:
    if len(text) >= 8:
        return re.escape(text)
    return rf"(?<!\w){re.escape(text)}(?!\w)" if len(text) >= 4 else rf'(?<="){re.escape(text)}(?=")'


def _leaves(values: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield (name of the variable, text) of each text and number, as terraform would print it."""
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from _leaves(value, name or str(key))
    elif isinstance(values, (list, tuple)):
        for value in values:
            yield from _leaves(value, name)
    elif isinstance(values, (str, int, float)) and not isinstance(values, bool):
        yield name, unicodedata.normalize("NFC", str(values))


def _managed(module: Mapping[str, Any]) -> Iterator[str]:
    """Yield the addresses of the managed resources of a module and those within."""
    yield from (one["address"] for one in module.get("resources") or () if one["mode"] == MANAGED)
    for child in module.get("child_modules") or ():
        yield from _managed(child)


def _file_name(word: bytes) -> str:
    return word.rpartition(b"/")[2].decode(errors="replace")


def _secret(backend: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a backend that are secret; the others, such as its path, help in a message."""
    secret = re.compile("secret|token|password|access_key|conn_str|credentials")
    return {name: value for name, value in backend.items() if secret.search(name)}


def _seconds(timeout: float) -> str:
    return f"-lock-timeout={max(0, math.ceil(timeout))}s"


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
