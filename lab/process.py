"""Run programs: output to a log, children die with us, failures in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from lab.errors import LabError


def guarded(argv: Sequence[str]) -> list[str]:
    """The command, made to die with its parent where the system can do that (util-linux setpriv)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", *argv] if setpriv else list(argv)


def need(program: str, remedy: str) -> str:
    """Absolute path of a program. Raises LabError with the remedy when it is not there."""
    path = shutil.which(program)
    if path is None:
        raise LabError(f"Program '{program}' is not on PATH: {remedy}")
    return path


def run(
    argv: Sequence[str],
    log: Path,
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    stdin: IO[bytes] | None = None,
) -> None:
    """Run to the end, output appended to `log`. Raises LabError when the status is not 0."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as sink:
        sink.write(f"$ {' '.join(argv)}\n".encode())
        sink.flush()
        done = subprocess.run(
            guarded(argv),
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=stdin or subprocess.DEVNULL,
            stdout=sink,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise LabError(f"Command '{_short(argv)}' ended with status {done.returncode}", log)


def read(argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> str:
    """Standard output of a short command. Raises LabError with its last error line when the status is not 0."""
    done = subprocess.run(
        guarded(argv),
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise LabError(f"Command '{_short(argv)}' ended with status {done.returncode}: {last}")
    return done.stdout


def succeeds(argv: Sequence[str]) -> bool:
    """Whether a command ends with status 0; its output is dropped."""
    done = subprocess.run(
        list(argv), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
    )
    return done.returncode == 0


def _short(argv: Sequence[str]) -> str:
    """Program name and first arguments, enough to recognise the command."""
    text = " ".join([Path(argv[0]).name, *argv[1:]])
    return text if len(text) <= 100 else text[:97] + "..."
