"""Artifacts are judged when they are read; the lab's part counts only where a lab is active."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.artifacts import LabFacts, load, load_lab, resolve
from ansible_collections.kontrol.platform.plugins.module_utils.paths import project_root
from ansible_collections.kontrol.platform.plugins.module_utils.problems import ProblemsError

if TYPE_CHECKING:
    from pathlib import Path

DIGEST = "sha256:" + "0" * 64
OTHER = "sha256:" + "1" * 64
TEXT = f"""
artifacts:
  chart:
    type: chart
    pin: {{version: 1.2.3, repository: https://charts.example, name: thing}}
    lab: {{version: 1.2.2, reason: older, values: {{a: 1}}}}
  oci_chart:
    type: chart
    pin: {{version: 1.2.3, repository: oci://charts.example/all, name: thing}}
  image:
    type: image
    pin: {{image: docker.io/a/b, version: 1.2.3, digest: "{DIGEST}"}}
    lab: {{version: 1.2.3-own, reason: built here}}
  local_image:
    type: image
    pin: {{image: docker.io/own/tools, version: "1", digest: null, digest_reason: built here}}
    lab: {{reason: another base}}
  manifest:
    type: manifest
    pin: {{version: v1.4.0, url: https://example/crds.yaml}}
  tool:
    type: tool
    pin: {{version: 0.30.0}}
"""
IMAGES = {"docker.io/a/b:1.2.3-own": OTHER, "docker.io/own/tools:1": OTHER}
LAB = LabFacts("lab", mirror="/mirror", tools={"tool": "/tools/tool"}, images=IMAGES)


def loaded(tmp_path: Path, text: str = TEXT) -> dict[str, dict[str, Any]]:
    file = tmp_path / "artifacts.yml"
    file.write_text(text, "utf-8")
    return load(file)


def test_without_a_lab_everything_is_as_pinned(tmp_path: Path) -> None:
    found = resolve(loaded(tmp_path), None)
    assert {name: one.pop("deviation") for name, one in found.items()} == dict.fromkeys(found)
    assert found == {
        "chart": {
            "type": "chart",
            "version": "1.2.3",
            "ref": "thing",
            "repository": "https://charts.example",
            "values": {},
        },
        "oci_chart": {"type": "chart", "version": "1.2.3", "ref": "oci://charts.example/all/thing", "values": {}},
        "image": {
            "type": "image",
            "version": "1.2.3",
            "image": "docker.io/a/b",
            "ref": f"docker.io/a/b:1.2.3@{DIGEST}",
        },
        "local_image": {
            "type": "image",
            "version": "1",
            "image": "docker.io/own/tools",
            "ref": "docker.io/own/tools:1",
        },
        "manifest": {"type": "manifest", "version": "v1.4.0", "url": "https://example/crds.yaml"},
        "tool": {"type": "tool", "version": "0.30.0", "path": ""},
    }


def test_in_the_lab_its_part_lies_over_the_pin(tmp_path: Path) -> None:
    found = resolve(loaded(tmp_path), LAB)
    assert found["chart"] == {
        "type": "chart",
        "version": "1.2.2",
        "ref": "/mirror/charts/thing-1.2.2",
        "values": {"a": 1},
        "deviation": "1.2.2 instead of 1.2.3: older",
    }
    assert found["oci_chart"]["ref"] == "/mirror/charts/thing-1.2.3"
    assert found["image"]["ref"] == f"docker.io/a/b:1.2.3-own@{OTHER}"
    assert found["local_image"]["ref"] == f"docker.io/own/tools:1@{OTHER}"
    assert found["local_image"]["deviation"] == "another base"
    assert found["manifest"]["path"] == "/mirror/manifests/manifest-v1.4.0.yaml"
    assert found["tool"]["path"] == "/tools/tool"


def test_online_facts_give_tools_and_digests_that_no_pin_has(tmp_path: Path) -> None:
    found = resolve(loaded(tmp_path), LabFacts("online", tools={"tool": "/tools/tool"}, images=IMAGES))
    assert found["tool"]["path"] == "/tools/tool"
    assert found["local_image"]["ref"] == f"docker.io/own/tools:1@{OTHER}"
    assert found["image"]["ref"] == f"docker.io/a/b:1.2.3@{DIGEST}"
    assert found["chart"]["ref"] == "thing"


def test_an_image_that_only_the_engine_holds_has_no_digest(tmp_path: Path) -> None:
    lab = LabFacts("lab", images=IMAGES | {"docker.io/own/tools:1": ""})
    assert resolve(loaded(tmp_path), lab)["local_image"]["ref"] == "docker.io/own/tools:1"


def test_every_image_that_the_lab_lacks_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProblemsError) as error:
        resolve(loaded(tmp_path), LabFacts("lab"))
    assert str(error.value).splitlines() == [
        (
            'lab.json: images: The lab holds no image "docker.io/a/b:1.2.3-own" of the artifact "image": '
            "run `python -m lab up`"
        ),
        (
            'lab.json: images: The lab holds no image "docker.io/own/tools:1" of the artifact "local_image": '
            "run `python -m lab up`"
        ),
    ]


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ["1: artifacts: Key is missing: it needs a map"]),
        (
            "artifacts: {a: {type: rpm}}",
            ['1: artifacts.a.type: Expected one of chart, image, manifest, tool, found "rpm"'],
        ),
        ("artifacts: {a: {}}", ["1: artifacts.a.type: Key is missing: it needs one of chart, image, manifest, tool"]),
        ("artifacts: {a: {type: tool}}", ["1: artifacts.a.pin: Key is missing: it needs a map with version"]),
        (
            "artifacts: {a: {type: tool, pin: {version: 1.10, verison: x}}}",
            [
                "1: artifacts.a.pin.version: Expected text that is not empty, found 1.1: put it in quotes",
                '1: artifacts.a.pin.verison: Unknown key: did you mean "version"',
            ],
        ),
        (
            "artifacts: {a: {type: image, pin: {version: '1', image: b}}}",
            ["1: artifacts.a.pin: Expected a digest, or a digest_reason that tells why there is none"],
        ),
        (
            "artifacts: {a: {type: image, pin: {version: '1', image: b, digest: sha256:12}}}",
            [
                "1: artifacts.a.pin: Expected a digest, or a digest_reason that tells why there is none",
                (
                    "1: artifacts.a.pin.digest: Expected a digest such as sha256: and 64 hexadecimal digits, "
                    'found "sha256:12"'
                ),
            ],
        ),
        (
            "artifacts: {a: {type: tool, pin: {version: ''}, lab: {}}}",
            [
                "1: artifacts.a.pin.version: Expected text that is not empty",
                "1: artifacts.a.lab.reason: Key is missing: it needs text",
            ],
        ),
    ],
)
def test_refused(tmp_path: Path, text: str, lines: list[str]) -> None:
    with pytest.raises(ProblemsError) as error:
        loaded(tmp_path, text)
    assert str(error.value).splitlines() == [f"{tmp_path}/artifacts.yml:{line}" for line in lines]


def test_lab_facts(tmp_path: Path) -> None:
    file = tmp_path / "lab.json"
    assert load_lab(file) is None
    file.write_text(json.dumps({"mode": "lab", "registry": "localhost:5001"}), "utf-8")
    facts = load_lab(file)
    assert facts == LabFacts("lab", registry="localhost:5001")
    assert facts.active
    assert not LabFacts("online").active


@pytest.mark.parametrize("text", ["", "[]", '{"mood": "lab"}', "{}"])
def test_facts_that_the_lab_did_not_write(tmp_path: Path, text: str) -> None:
    file = tmp_path / "lab.json"
    file.write_text(text, "utf-8")
    with pytest.raises(ProblemsError) as error:
        load_lab(file)
    assert str(error.value) == f"{file}: The lab did not write this file: run `python -m lab up` again"


def test_the_projects_own_artifacts() -> None:
    artifacts = load(project_root() / "artifacts.yml")
    assert resolve(artifacts, None).keys() == artifacts.keys()
