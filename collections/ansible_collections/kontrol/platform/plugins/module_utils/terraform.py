"""Terraform, or OpenTofu, behind one typed class (design rule 9): a plan is data, and only what was read is applied.

Variables and backend go by JSON files of mode 0600 in a private working folder, so that every value reaches Terraform
as it is and none is in a command line. The kind driver does not use this: a provisioner cannot see that a cluster is
gone.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import process, state
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube.planned import (
    UNKNOWN,
    differing,
    digest,
    leaves,
    shown,
    text_of,
)

VARIABLES: Final = "kontrol.tfvars.json"
BACKEND: Final = "kontrol.backend.json"
PLAN: Final = "kontrol.plan"
OLDEST: Final = {"terraform": (1, 5), "tofu": (1, 6)}
"""Before these `plan -detailed-exitcode` and `show -json` of a plan file lack what is read here."""
ENVIRONMENT: Final = {"TF_IN_AUTOMATION": "1", "TF_INPUT": "0", "CHECKPOINT_DISABLE": "1"}
UNCHANGED, CHANGED = 0, 2
TIMEOUT: Final = 3600.0
GRACE_SECONDS: Final = 120.0
"""What Terraform gets, once it was interrupted, to end what it has begun and to release its lock."""
PATIENT: Final[process.Runner] = partial(process.run, grace=GRACE_SECONDS)
ACTIONS: Final = {
    ("no-op",): "none",
    ("create",): "create",
    ("update",): "update",
    ("delete",): "delete",
    ("delete", "create"): "replace",
    ("create", "delete"): "replace",
    ("forget",): "forget",
}
LOSSES: Final = frozenset({"delete", "replace"})
_BOX: Final = re.compile(r"^[\s╷│╵]*")
_LOCK: Final = re.compile(r"^\s*(ID|Path|Operation|Who|Created):\s+(\S.*)$")
Seal = Callable[[str], str]


class TerraformError(KontrolError):
    """Terraform cannot do what it was asked, or must not; the text holds no value of a variable."""


class StateLockedError(TerraformError):
    """Somebody else holds the lock of the state, or a run that was killed left it."""


@dataclass(frozen=True)
class Lock:
    """Who holds the lock of a state, as the backend tells."""

    id: str
    who: str = "?"
    operation: str = "?"
    created: str = ""
    path: str = ""

    def text(self) -> str:
        """Return it as a part of a sentence."""
        age = _age(self.created)
        doing = self.operation.removeprefix("OperationType").lower()
        return f"lock {self.id} of {self.who}, {doing}, since {self.created or '?'}{f' ({age} ago)' if age else ''}"


@dataclass(frozen=True)
class Change:
    """What is planned for one resource.

    Attributes:
        address: Such as `aws_vpc.main[0]`.
        type: Such as `aws_vpc`.
        action: none, create, update, delete, replace or forget.
        before: Its attributes as they are; secret ones only sealed, see `Plan.objects`.
        after: Its attributes as they would be; one that only the apply makes is UNKNOWN.
        replaced_by: Paths of the attributes that cannot be changed in place.
    """

    address: str
    type: str
    action: str
    before: Any = field(repr=False)
    after: Any = field(repr=False)
    replaced_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A plan that was read.

    Attributes:
        changes: Every resource that would not stay as it is.
        same: How many would.
        file: The plan file.
        sha256: Its digest when it was read.
    """

    changes: tuple[Change, ...]
    same: int
    file: Path
    sha256: str

    @property
    def changed(self) -> bool:
        """Whether anything would be done."""
        return bool(self.changes)

    def objects(self) -> list[dict[str, Any]]:
        """Return the verdicts as a run's journal and the plan of a region want them."""
        return [_verdict(one) for one in self.changes]

    def protected_problems(self, protected: Sequence[str]) -> list[str]:
        """Return a line for each deletion or replacement of what is protected: patterns of types or addresses.

        Terraform's own `prevent_destroy` takes only literals, so it cannot follow a region's spec.
        """
        return [
            f"{one.address} would be {_lost(one)}, and it is protected"
            for one in self.changes
            if one.action in LOSSES
            and any(fnmatchcase(text, pattern) for pattern in protected for text in (one.type, one.address))
        ]

    def foreign_problems(self, key: str, region: str) -> list[str]:
        """Return a line for each loss of what is tagged for another region."""
        return [
            f"{one.address} carries {key}={tag}, and this is region {region}"
            for one in self.changes
            if one.action in LOSSES and (tag := _tag(one.before, key)) not in {"", region}
        ]

    def too_many_problems(self, expected: int, factor: int = 3) -> list[str]:
        """Return why a plan that deletes many times what the region is known to have must be looked at first."""
        lost = sum(one.action in LOSSES for one in self.changes)
        if lost <= expected * factor:
            return []
        return [f"{lost} resources would be lost, and the region is known to have {expected}"]


@dataclass(frozen=True)
class Output:
    """An output of a stack; what is sensitive is not shown."""

    value: Any = field(repr=False)
    sensitive: bool = False


class Terraform:
    """One stack of one region: a private working folder, one state.

    Args:
        program: Absolute path of terraform or tofu.
        stack: Folder of the stack's `.tf` files; nothing is written there.
        work: The working folder; made private.
        runner: Runs programs.
        plugins: Folder of providers, for use without a registry.
        check: Whether nothing may be written: then only init, plan and outputs work.
    """

    def __init__(
        self,
        program: str,
        stack: Path,
        work: Path,
        *,
        runner: process.Runner = PATIENT,
        plugins: Path | None = None,
        check: bool = False,
    ) -> None:
        self._program, self._stack, self._work, self._runner = program, stack, work, runner
        self._plugins, self._check = plugins, check

    def init(self, backend: Mapping[str, Any] | None = None) -> None:
        """Copy the stack's files into the working folder and prepare it.

        Args:
            backend: Settings of the backend; credentials are no part of them.
        """
        state.make_private_dir(self._work)
        self._require_version()
        for old in self._work.glob("*.tf"):
            old.unlink()
        left_out = shutil.ignore_patterns(".terraform", "*.tfstate*")
        shutil.copytree(self._stack, self._work, dirs_exist_ok=True, ignore=left_out)
        self._work.chmod(state.PRIVATE_DIR)  # a copy takes the mode of what was copied, too
        options = [f"-plugin-dir={self._plugins}"] if self._plugins else []
        if backend is not None:
            state.write_json(self._work / BACKEND, dict(backend))
            options.append(f"-backend-config={BACKEND}")
        self._must("init", "-reconfigure", *options)

    def plan(
        self, variables: Mapping[str, Any], *, destroy: bool = False, lock_seconds: int = 0, seal: Seal = digest
    ) -> Plan:
        """Return what would be done.

        Args:
            variables: Values of the stack's variables; a None is Terraform's null, a module's own default.
            destroy: Plan the end of all that the state holds.
            lock_seconds: How long a locked state is waited for.
            seal: Makes the digest of a sensitive value.

        Raises:
            StateLockedError: The state stays locked for longer than `lock_seconds`.
            TerraformError: The stack or the variables are refused.
        """
        state.write_json(self._work / VARIABLES, dict(variables))
        options = [f"-var-file={VARIABLES}", f"-out={PLAN}", f"-lock-timeout={lock_seconds}s", "-detailed-exitcode"]
        done = self._call("plan", *options, *(["-destroy"] if destroy else []))
        if done.rc not in {UNCHANGED, CHANGED}:
            raise self._error("plan", done)
        file = self._work / PLAN
        file.chmod(state.PRIVATE_FILE)
        content = json.loads(self._must("show", "-json", PLAN))
        managed = [one for one in content.get("resource_changes") or [] if one["mode"] == "managed"]
        changes = [_change(one, seal) for one in managed]
        moving = tuple(one for one in changes if one.action != "none")
        return Plan(moving, len(changes) - len(moving), file, _sha256(file))

    def apply(self, plan: Plan, *, lock_seconds: int = 0) -> None:
        """Do what a plan says that was read, and nothing else.

        Raises:
            TerraformError: The plan file is not the one that was read, or the apply failed.
        """
        self._refuse_in_check("apply")
        if not plan.file.is_file() or _sha256(plan.file) != plan.sha256:
            raise TerraformError(f"Plan '{plan.file}' is not the one that was read; plan again")
        done = self._call("apply", f"-lock-timeout={lock_seconds}s", plan.file.name)
        plan.file.unlink(missing_ok=True)  # what was applied once must not be applied again
        if done.rc:
            raise self._error("apply", done)

    def outputs(self) -> dict[str, Output]:
        """Return the outputs of the state."""
        content = json.loads(self._must("output", "-json"))
        return {name: Output(one["value"], bool(one.get("sensitive"))) for name, one in content.items()}

    def unlock(self, lock: str) -> None:
        """Release the lock of a state that a killed run left; only ever when a person named it."""
        self._refuse_in_check("force-unlock")
        self._must("force-unlock", "-force", lock)

    def _require_version(self) -> None:
        told = self._must("version", "-json")
        version = str(json.loads(told).get("terraform_version", ""))
        name = "tofu" if "tofu" in Path(self._program).name else "terraform"
        parts = tuple(int(part) for part in re.findall(r"\d+", version)[:2])
        if parts < OLDEST[name]:
            wanted = ".".join(map(str, OLDEST[name]))
            raise TerraformError(f"{name} {version or 'of no version'} is too old; {wanted} or newer is needed")

    def _refuse_in_check(self, verb: str) -> None:
        if self._check:
            raise TerraformError(f"terraform {verb} was asked for in check mode, which writes nothing")

    def _call(self, verb: str, *options: str) -> process.Completed:
        known = [] if verb in {"version", "output", "show", "force-unlock"} else ["-input=false"]
        color = [] if verb in {"version", "force-unlock"} else ["-no-color"]
        argv = [self._program, f"-chdir={self._work}", verb, *known, *color, *options]
        return self._runner(argv, env=ENVIRONMENT, timeout=TIMEOUT)

    def _must(self, verb: str, *options: str) -> str:
        done = self._call(verb, *options)
        if done.rc:
            raise self._error(verb, done)
        return done.stdout

    def _error(self, verb: str, done: process.Completed) -> TerraformError:
        if lock := lock_of(done.stderr):
            return StateLockedError(
                f"The state of '{self._stack.name}' is locked: {lock.text()}. If that run is going on, wait for it; if "
                f"it was killed, release the lock with `-e unlock={lock.id}`"
            )
        return TerraformError(f"terraform {verb} of '{self._stack.name}' failed: {sentence(done.stderr)}")


def lock_of(text: str) -> Lock | None:
    """Return the lock that an error of Terraform tells of, None when it tells of none."""
    if "state lock" not in text:
        return None
    matches = [_LOCK.match(_BOX.sub("", line)) for line in text.splitlines()]
    found = {match[1]: match[2].strip() for match in matches if match}
    if "ID" not in found:
        return None
    return Lock(*(found.get(name, "") for name in ("ID", "Who", "Operation", "Created", "Path")))


def sentence(text: str) -> str:
    """Return the first error of Terraform's output without boxes, source lines and advice."""
    lines = [_BOX.sub("", line).strip() for line in text.splitlines()]
    start = next((number for number, line in enumerate(lines) if line.startswith("Error:")), None)
    if start is None:
        return next((line for line in reversed(lines) if line), "it said nothing")
    kept = [line for line in lines[start : start + 8] if line and not re.match(r"(on .* line \d+|\d+:)", line)]
    return " ".join(kept[:3])


def _change(one: Mapping[str, Any], seal: Seal) -> Change:
    change = one["change"]
    before = _masked(change.get("before"), None, change.get("before_sensitive"), seal)
    after = _masked(change.get("after"), change.get("after_unknown"), change.get("after_sensitive"), seal)
    paths = tuple(".".join(map(str, path)) for path in change.get("replace_paths") or [])
    action = ACTIONS.get(tuple(change["actions"]), "update")
    return Change(str(one["address"]), str(one["type"]), action, before, after, paths)


def _masked(value: Any, unknown: Any, sensitive: Any, seal: Seal) -> Any:
    """Return a value with a token for what is unknown, and a digest for what is sensitive."""
    if unknown is True:
        return UNKNOWN
    if sensitive is True and value is not None:
        return seal(text_of(value))
    if isinstance(value, dict) or isinstance(unknown, dict):
        keys = {**(value or {}), **(unknown or {})}
        return {key: _masked((value or {}).get(key), _part(unknown, key), _part(sensitive, key), seal) for key in keys}
    if isinstance(value, list):
        return [_masked(item, _part(unknown, n), _part(sensitive, n), seal) for n, item in enumerate(value)]
    return value


def _part(mask: Any, key: Any) -> Any:
    """Return the part of a mask that belongs to a key or an index; a mask covers what it does not name by nothing."""
    if isinstance(mask, dict):
        return mask.get(key)
    if isinstance(mask, list) and isinstance(key, int):
        return mask[key] if key < len(mask) else None
    return mask if mask is True else None


def _verdict(one: Change) -> dict[str, Any]:
    told: dict[str, Any] = {"object": one.address, "verb": one.action, "known": "server"}
    if one.action == "create":
        fields = dict(leaves(_without_nothing(one.after), ""))
        return {
            **told,
            "content": {
                path: UNKNOWN if value == UNKNOWN else digest(text_of(value)) for path, value in fields.items()
            },
        }
    if one.action in {"update", "replace"}:
        found = differing(_without_nothing(one.before), _without_nothing(one.after), "")
        return {
            **told,
            "changes": [{"path": path, "before": shown(left), "after": shown(right)} for path, left, right in found],
        }
    return told


def _without_nothing(value: Any) -> Any:
    return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value


def _lost(one: Change) -> str:
    why = f" ({', '.join(one.replaced_by)} cannot be changed in place)" if one.replaced_by else ""
    return f"replaced{why}" if one.action == "replace" else "deleted"


def _tag(attributes: Any, key: str) -> str:
    for name in ("tags_all", "tags", "labels"):
        tags = attributes.get(name) if isinstance(attributes, dict) else None
        if isinstance(tags, dict) and tags.get(key):
            return str(tags[key])
    return ""


def _age(created: str) -> str:
    """Return how long ago a lock was taken, "" when its time cannot be read."""
    found = re.match(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)", created)
    return state.age_text(state.age_seconds(f"{found[1]}T{found[2]}Z")) if found else ""


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
