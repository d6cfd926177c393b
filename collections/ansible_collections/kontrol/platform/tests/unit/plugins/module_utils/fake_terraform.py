"""A terraform of our own: it records what it is given and plays a scenario, with the texts of terraform 1.11.

`install` writes it, with its scenario, to a folder; the running Python executes it there. It has a state of five
resources, a lock, and it can fail, hang and be killed half way through an apply. With `per_stack` each stack has its
own state and lock, in a bucket that the stack `bootstrap` makes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(sys.argv[0]).parent
LOCK_ID = "081f8bb7-d3d1-bc41-8957-ddb72598067b"
LOCK = """Error acquiring the state lock

Error message: resource temporarily unavailable
Lock Info:
  ID:        081f8bb7-d3d1-bc41-8957-ddb72598067b
  Path:      kontrol-states/kontrol/r1/cluster.tfstate
  Operation: OperationTypeApply
  Who:       root@vm
  Version:   1.11.4
  Created:   2026-11-25 13:16:22.756468816 +0000 UTC
  Info:


Terraform acquires a state lock to protect the state from being written
by multiple users at the same time. Please resolve the issue above and try
again. For most commands, you can disable locking with the "-lock=false"
flag, but this is not recommended."""


def framed(error: str) -> str:
    """Return an error as terraform shows it in a terminal: red, in a frame."""
    red, bold, off = "\x1b[31m", "\x1b[1m", "\x1b[0m"
    first, *rest = error.splitlines()
    lines = [f"{red}╷{off}{off}", f"{red}│{off} {off}{bold}{red}Error: {off}{off}{bold}{first}{off}"]
    return "\n".join([*lines, *(f"{red}│{off} {off}{off}{line}" for line in rest), f"{red}╵{off}{off}"]) + "\n"


def bare(error: str) -> str:
    """Return an error as terraform writes it with -no-color."""
    return f"\nError: {error}\n"


def install(folder: Path, name: str = "terraform", **scenario: Any) -> Path:
    """Write the fake and its scenario to a folder, and return the program."""
    folder.mkdir(parents=True, exist_ok=True)
    play(folder, **scenario)
    program = folder / name
    program.write_text(f"#!{sys.executable} -I\n{Path(__file__).read_text(encoding='utf-8')}", encoding="utf-8")
    program.chmod(0o755)
    return program


def play(folder: Path, **scenario: Any) -> None:
    """Change what an installed fake plays."""
    (folder / "scenario.json").write_text(json.dumps(scenario), encoding="utf-8")


def calls(folder: Path, verb: str = "") -> list[dict[str, Any]]:
    """Return what an installed fake was called with, or only the calls of one command."""
    path = folder / "calls.jsonl"
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []
    return [one for one in found if verb in {"", one["verb"]}]


def verbs(folder: Path) -> list[str]:
    """Return the commands in the order of the calls."""
    return [one["verb"] for one in calls(folder)]


def change(name: str, actions: list[str]) -> dict[str, Any]:
    """Return one entry of resource_changes."""
    return {
        "address": f"fake_thing.{name}",
        "mode": "managed",
        "type": "fake_thing",
        "name": name,
        "change": {"actions": actions, "before": None, "after": None, "after_unknown": {}},
    }


def held(names: list[str]) -> dict[str, Any]:
    """Return the module of a state that holds these resources, one more in a module within, and a data source."""
    inner = {"address": "module.m.fake_thing.inner", "mode": "managed"}
    resources = [{"address": f"fake_thing.{name}", "mode": "managed"} for name in names]
    data = {"address": "data.fake_thing.read", "mode": "data"}
    return {"resources": [*resources, data], "child_modules": [{"resources": [inner]}]}


def say(text: str) -> None:
    """Write a line to standard output at once."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Fake:
    """One call of the fake."""

    def __init__(self, arguments: list[str]) -> None:
        self.scenario: dict[str, Any] = json.loads((HERE / "scenario.json").read_text(encoding="utf-8"))
        chdir = [one.partition("=")[2] for one in arguments if one.startswith("-chdir=")]
        self.folder = Path(chdir[0]) if chdir else Path.cwd()
        os.chdir(self.folder)  # as terraform does
        self.verb, *self.arguments = [one for one in arguments if not one.startswith("-chdir=")]
        own = f"{self.folder.name}-" if self.scenario.get("per_stack") else ""
        self.lock, self.state, self.store = HERE / f"{own}lock", HERE / f"{own}state.json", HERE / "store"

    def record(self) -> None:
        files = [path for path in self.folder.rglob("*") if path.is_file()] if self.verb != "version" else []
        files += [Path(value) for value in self._values("-backend-config")]
        told = {
            "verb": self.verb,
            "argv": sys.argv[1:],
            "env": dict(os.environ),
            "files": {str(path): path.read_text(encoding="utf-8", errors="replace") for path in files},
            "modes": {str(path): oct(path.stat().st_mode & 0o777) for path in files},
        }
        with (HERE / "calls.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")

    def answer(self) -> int:
        if self.verb in self.scenario.get("errors", {}):
            sys.stderr.write(self.scenario["errors"][self.verb])
            return 1
        handler = getattr(self, f"do_{self.verb.replace('-', '_')}", lambda: 0)
        return int(handler() or 0)

    def do_version(self) -> None:
        version = self.scenario.get("version", "1.11.4")
        say(version if version.startswith("no") else json.dumps({"terraform_version": version}))

    def do_init(self) -> int:
        if self.scenario.get("per_stack") and self._values("-backend-config") and not self.store.exists():
            sys.stderr.write(bare('Failed to get existing workspaces: S3 bucket "b" does not exist.'))
            return 1
        declared = self.scenario.get("backend", True)
        (self.folder / ".terraform").mkdir(exist_ok=True)
        record = {"backend": {"type": "s3"}} if declared and self._values("-backend-config") else {}
        (self.folder / ".terraform" / "terraform.tfstate").write_text(json.dumps(record), encoding="utf-8")
        return 0

    def do_plan(self) -> int:
        if self._locked():
            return 1
        there, wanted = self._resources(), self.scenario.get("resources", ["a", "b", "c", "d", "e"])
        gone = there if "-destroy" in self.arguments else [one for one in there if one not in wanted]
        new = [] if "-destroy" in self.arguments else [one for one in wanted if one not in there]
        changes = [change(one, ["delete"]) for one in gone] + [change(one, ["create"]) for one in new]
        shown = self.scenario.get("plan") or {"format_version": "1.2", "resource_changes": changes}
        out = Path(self._values("-out")[0])
        if self.scenario.get("replaces_file"):
            out.unlink()
        out.write_text(json.dumps(shown), encoding="utf-8")
        return int(self.scenario.get("plan_rc", 2 if changes else 0))

    def do_show(self) -> None:
        if self.arguments[-1] == "-json":
            say(json.dumps({"values": {"root_module": held(self._resources())}} if self._resources() else {}))
        else:
            say(Path(self.arguments[-1]).read_text(encoding="utf-8"))

    def do_output(self) -> None:
        say(json.dumps(self.scenario.get("outputs", {})))

    def do_apply(self) -> int:
        if self._locked():
            return 1
        self.lock.write_text("held", encoding="utf-8")
        if self.scenario.get("apply") == "hang":
            self._hang()
        for count, one in enumerate(
            json.loads(Path(self.arguments[-1]).read_text(encoding="utf-8"))["resource_changes"]
        ):
            if count == self.scenario.get("fail_after"):
                self.lock.unlink()
                sys.stderr.write(bare(f"creating {one['address']}: QuotaExceeded\n\n  with {one['address']},\n"))
                return 1
            self._change(one)
        if self.folder.name == "bootstrap":
            self.store.touch()
        self.lock.unlink()
        return 0

    def do_untaint(self) -> int:
        return 1 if self._locked() else 0

    def do_force_unlock(self) -> None:
        self.lock.unlink()  # as the http backend does: whatever id was given

    def _change(self, one: dict[str, Any]) -> None:
        made = one["change"]["actions"] == ["create"]
        say(f"{one['address']}: {'Creating' if made else 'Destroying'}... [id=SECRET-ID]")
        there = self._resources()
        there = [*there, one["name"]] if made else [name for name in there if name != one["name"]]
        self.state.write_text(json.dumps(there), encoding="utf-8")

    def _hang(self) -> None:
        def interrupted(*_: Any) -> None:
            with (HERE / "signals").open("a", encoding="utf-8") as file:
                file.write("SIGINT\n")
            say("Interrupt received.")  # where nobody reads any more, this would be the end
            if not self.scenario.get("deaf"):
                time.sleep(0.1)  # what it takes to save the state
                self.lock.unlink()
                sys.exit(1)

        signal.signal(signal.SIGINT, interrupted)
        (HERE / "pid").write_text(str(os.getpid()), encoding="utf-8")
        end = time.monotonic() + 30
        while time.monotonic() < end:
            time.sleep(0.02)

    def _locked(self) -> bool:
        if self.lock.exists():
            sys.stderr.write(framed(LOCK) if self.scenario.get("frames") else bare(LOCK))
        return self.lock.exists()

    def _resources(self) -> list[str]:
        return list(json.loads(self.state.read_text(encoding="utf-8"))) if self.state.exists() else []

    def _values(self, option: str) -> list[str]:
        return [one.partition("=")[2] for one in self.arguments if one.startswith(f"{option}=")]


if __name__ == "__main__":
    fake = Fake(sys.argv[1:])
    fake.record()
    sys.exit(fake.answer())
