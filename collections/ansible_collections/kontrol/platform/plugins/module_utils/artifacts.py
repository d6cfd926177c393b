"""The pinned upstream artifacts of `artifacts.yml`, and what stands in for them where a lab is active.

An entry has a `type`, a `pin` and optionally a `lab` part. Roles never ask where they run: they take a resolved
artifact by its name, and the lab's part has been laid over the pin before.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import schema
from ansible_collections.kontrol.platform.plugins.module_utils.problems import MISSING, Problem, ProblemsError
from ansible_collections.kontrol.platform.plugins.module_utils.yaml_io import load_marked, read_text

Artifacts = dict[str, dict[str, Any]]

_TEXT: Final = {"type": "string", "minLength": 1}
_DIGEST: Final = {
    "type": "string",
    "pattern": "^sha256:[0-9a-f]{64}$",
    schema.MEANING: "a digest such as sha256: and 64 hexadecimal digits",
}
_PINS: Final[dict[str, dict[str, Any]]] = {
    "chart": {"repository": _TEXT, "name": _TEXT},
    "image": {"image": _TEXT},
    "manifest": {"url": _TEXT},
    "tool": {},
}
"""What the pin of each type must hold beside its version."""
_MORE: Final = {"digest": _DIGEST | {"type": ["string", "null"]}, "digest_reason": _TEXT}
_MORE_OF_TOOLS: Final = {"url": _TEXT, "package": _TEXT, "digests": {"type": "object", "additionalProperties": _DIGEST}}


@dataclass(frozen=True)
class LabFacts:
    """What the lab provides on this machine (`lab.json` in the state folder, written by `python -m lab up`)."""

    mode: str
    """`lab`: charts and images come from the mirror and the loopback registry; `online`: as pinned."""
    registry: str = ""
    """Address of the loopback registry, such as localhost:5001."""
    registry_container: str = ""
    """Name of its container."""
    mirror: str = ""
    """Absolute folder with `charts/<name>-<version>` and `manifests/<artifact>-<version>.yaml`."""
    tools: dict[str, str] = field(default_factory=dict)
    """Absolute path of each tool, by name."""
    images: dict[str, str] = field(default_factory=dict)
    """Digest of each image in the loopback registry, by `image:version`."""
    kind_config: dict[str, Any] = field(default_factory=dict)
    """What is merged into the configuration of a kind cluster."""

    @property
    def active(self) -> bool:
        """True where the `lab` part of an artifact counts."""
        return self.mode == "lab"


def artifacts_schema() -> dict[str, Any]:
    """Return the JSON schema of `artifacts.yml`."""
    entries = {name: _entry_schema(name) for name in _PINS}
    one_of_them = {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"enum": list(_PINS)}},
        "allOf": [
            {"if": {"required": ["type"], "properties": {"type": {"const": name}}}, "then": entry}
            for name, entry in entries.items()
        ],
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["artifacts"],
        "properties": {"artifacts": {"type": "object", "additionalProperties": one_of_them}},
    }


def load(path: Path) -> Artifacts:
    """Return the artifacts of a file by name, not yet resolved.

    Raises:
        ProblemsError: the file breaks its schema; every problem at once.
        YamlError: it is not YAML.
        OSError: it cannot be read.
    """
    data, positions = load_marked(read_text(path), str(path))
    found = schema.judge(artifacts_schema(), {} if data is None else data, schema.Source(str(path), positions))
    if found:
        raise ProblemsError(found)
    artifacts: Artifacts = data["artifacts"]
    return artifacts


def load_lab(path: Path) -> LabFacts | None:
    """Return the facts of the lab; None where none was ever started.

    Raises:
        ProblemsError: the file is not what the lab writes.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return LabFacts(**facts)
    except FileNotFoundError:
        return None
    except (TypeError, ValueError) as error:
        problem = Problem(str(path), "", MISSING, "The lab did not write this file", "run `python -m lab up` again")
        raise ProblemsError([problem]) from error


def resolve(artifacts: Artifacts, lab: LabFacts | None) -> Artifacts:
    """Return what a role needs of each artifact, by name.

    - image: `type, image, version, ref, deviation`; `ref` is image:version@digest
    - chart: `type, ref, version, values, deviation`, and `repository` unless `ref` is a folder or an OCI address
    - manifest: `type, version, deviation` and `path` or `url`
    - tool: `type, version, path, deviation`; `path` is "" where no lab.json names the tool

    `deviation` tells how and why the lab differs from the pin, None where it does not.

    Raises:
        ProblemsError: the lab lacks the digest of an image.
    """
    resolved: Artifacts = {}
    problems: list[Problem] = []
    for name, entry in artifacts.items():
        overlay = entry.get("lab", {}) if lab and lab.active else {}
        one = {
            "type": entry["type"],
            "version": overlay.get("version", entry["pin"]["version"]),
            "deviation": _deviation(entry["pin"]["version"], overlay),
        }
        try:
            one |= _RESOLVERS[entry["type"]](name, entry["pin"], overlay, lab)
        except ProblemsError as error:
            problems += error.problems
        resolved[name] = one
    if problems:
        raise ProblemsError(problems)
    return resolved


def _entry_schema(kind: str) -> dict[str, Any]:
    pin = {"version": _TEXT, **_PINS[kind]}
    more = {**_MORE, **(_MORE_OF_TOOLS if kind == "tool" else {})}
    entry: dict[str, Any] = {
        "additionalProperties": False,
        "required": ["type", "pin"],
        "properties": {
            "type": {},
            "pin": {
                "type": "object",
                "additionalProperties": False,
                "required": list(pin),
                "properties": pin | more,
            },
            "lab": {
                "type": "object",
                "additionalProperties": False,
                "required": ["reason"],
                "properties": {"reason": _TEXT, "version": _TEXT, "values": {"type": "object"}},
            },
        },
    }
    if kind == "image":
        pinned = {"properties": {"digest": _DIGEST}, "required": ["digest"]}
        entry["properties"]["pin"] |= {
            "anyOf": [pinned, {"required": ["digest_reason"]}],
            schema.MEANING: "a digest, or a digest_reason that tells why there is none",
        }
    return entry


def _deviation(pinned: str, overlay: dict[str, Any]) -> str | None:
    if not overlay:
        return None
    version = overlay.get("version", pinned)
    difference = "" if version == pinned else f"{version} instead of {pinned}: "
    return f"{difference}{overlay['reason']}"


def _image(name: str, pin: dict[str, Any], overlay: dict[str, Any], lab: LabFacts | None) -> dict[str, Any]:
    tag = f"{pin['image']}:{overlay.get('version', pin['version'])}"
    pushed = lab.images.get(tag) if lab else None
    if lab and lab.active and pushed is None:
        message = f'The lab holds no image "{tag}" of the artifact "{name}"'
        raise ProblemsError([Problem("lab.json", "images", MISSING, message, "run `python -m lab up`")])
    digest = pushed if lab and lab.active else pin.get("digest") or pushed
    return {"image": pin["image"], "ref": f"{tag}@{digest}" if digest else tag}


def _chart(_name: str, pin: dict[str, Any], overlay: dict[str, Any], lab: LabFacts | None) -> dict[str, Any]:
    values = {"values": overlay.get("values", {})}
    if lab and lab.active:
        folder = f"{pin['name']}-{overlay.get('version', pin['version'])}"
        return {"ref": str(Path(lab.mirror) / "charts" / folder), **values}
    if pin["repository"].startswith("oci://"):
        return {"ref": f"{pin['repository'].rstrip('/')}/{pin['name']}", **values}
    return {"ref": pin["name"], "repository": pin["repository"], **values}


def _manifest(name: str, pin: dict[str, Any], overlay: dict[str, Any], lab: LabFacts | None) -> dict[str, Any]:
    if lab and lab.active:
        file = f"{name}-{overlay.get('version', pin['version'])}.yaml"
        return {"path": str(Path(lab.mirror) / "manifests" / file)}
    return {"url": pin["url"]}


def _tool(name: str, _pin: dict[str, Any], _overlay: dict[str, Any], lab: LabFacts | None) -> dict[str, Any]:
    return {"path": lab.tools.get(name, "") if lab else ""}


_RESOLVERS: Final = {"image": _image, "chart": _chart, "manifest": _manifest, "tool": _tool}
