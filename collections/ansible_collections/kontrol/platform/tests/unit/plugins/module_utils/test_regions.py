"""All sources of a command are judged together, and the regions against each other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import regions
from ansible_collections.kontrol.platform.plugins.module_utils.extra_vars import EXTRA_VARS
from ansible_collections.kontrol.platform.plugins.module_utils.paths import project_root
from ansible_collections.kontrol.platform.plugins.module_utils.spec import Role, load_roles

ROOT = project_root()
ALWAYS = {name: role for name, role in load_roles(ROOT).items() if name in ("region", "foundation", "cluster")}
ROLES = ALWAYS | {"store": Role("store", {"size": {"type": "str", "default": "1Gi"}, "token": {"type": "str"}})}
OTHER = "cluster: {pod_cidr: 10.1.0.0/16, service_cidr: 10.2.0.0/16}\n"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def declare(folder: str, text: str = "", name: str | None = None) -> None:
    file = Path("inv", folder, "region.yml")
    file.parent.mkdir(parents=True)
    file.write_text(f"region: {{name: {name or folder}, driver: kind}}\n{text}", "utf-8")


def judged(*sources: str, extra_vars: dict[str, Any] | None = None) -> list[str]:
    found = regions.judge([str(Path(source).absolute()) for source in sources], ROOT, ROLES, extra_vars or {})
    return [str(problem) for problem in found.problems]


@pytest.mark.parametrize("source", ["inv/a", "inv/a/region.yml", "inv"])
def test_a_region_by_its_folder_its_file_and_the_folder_of_all(source: str, here: Path) -> None:
    declare("a")
    Path("inv/README.md").touch()
    Path("inv/a/.note").touch()
    Path("inv/a/host_vars").mkdir()
    found = regions.judge([str(here / source)], ROOT, ROLES, {}, lambda name: name in {".note", "README.md"})
    assert (found.problems, found.warnings) == ([], [])
    assert [region.name for region in found.regions.values()] == ["a"]
    assert list(found.regions) == [here / "inv" / "a" / "region.yml"]


def test_the_same_region_twice_is_one(here: Path) -> None:
    declare("a")
    found = regions.judge([str(here / "inv"), str(here / "inv" / "a")], ROOT, ROLES, {})
    assert (found.problems, len(found.regions)) == ([], 1)


def test_what_is_wrong_with_sources() -> None:
    declare("a")
    declare("b", OTHER)
    Path("inv/b/group_vars").mkdir()
    Path("inv/b/group_vars/all.yml").touch()
    Path("inv/b/hosts.ini").touch()
    Path("inv/b/.hidden").touch()
    Path("wrong").mkdir()
    Path("wrong/region.yaml").touch()
    no_effect = 'Only "region.yml" is read here, so this has no effect: take it away'
    assert judged("inv/b", "inv/aa", "inv/b/hosts.ini", "wrong", "nowhere/at/all") == [
        f"inv/b/group_vars: {no_effect}",
        f"inv/b/hosts.ini: {no_effect}",
        'inv/aa: No such file or folder: did you mean "inv/a"',
        'inv/b/hosts.ini: A region is declared in a file named "region.yml"',
        'wrong: The folder holds no "region.yml": did you mean "region.yaml"',
        "nowhere/at/all: No such file or folder",
    ]
    assert judged("inv") == [f"inv/b/group_vars: {no_effect}", f"inv/b/hosts.ini: {no_effect}"]


def test_a_folder_of_regions_with_one_that_is_none() -> None:
    declare("a")
    Path("inv/empty").mkdir()
    Path("inv/hosts").touch()
    no_effect = 'Only "region.yml" is read here, so this has no effect: take it away'
    assert judged("inv") == [f"inv/empty: {no_effect}", f"inv/hosts: {no_effect}"]


def test_a_wrong_current_directory() -> None:
    assert judged("inventories/local") == [
        f'inventories/local: No such file or folder: did you mean "{ROOT}/inventories/local"'
    ]


def test_nothing_named(tmp_path: Path) -> None:
    found = regions.judge(["/etc/ansible/hosts"], ROOT, ROLES, {})
    assert list(map(str, found.problems)) == [
        f"--inventory: No region was named: name one with -i {ROOT}/inventories/<region>; there are local"
    ]


def test_a_list_of_hosts() -> None:
    found = regions.judge(["localhost,"], ROOT, ROLES, {})
    assert list(map(str, found.problems)) == [
        "localhost,: A list of hosts is not read: name the folder of a region, such as inventories/local"
    ]


def test_a_region_has_the_name_of_its_folder() -> None:
    declare("a", name="b")
    assert judged("inv/a") == ['inv/a/region.yml:1: region.name: Expected the name of the folder, "a", found "b"']


def test_a_name_taken_twice_is_reported_at_the_later_one() -> None:
    declare("a")
    declare("b", OTHER, name="a")
    assert judged("inv") == [
        'inv/b/region.yml:1: region.name: Expected the name of the folder, "b", found "a"',
        'inv/b/region.yml:1: region.name: The name is taken by inv/a/region.yml:1, found "a"',
    ]


def test_networks_of_a_neighbour_count_though_it_was_not_asked_for() -> None:
    declare("a", "cluster:\n  pod_cidr: 10.8.0.0/14\n  service_cidr: 10.2.0.0/16\n")
    declare("b", "cluster:\n  pod_cidr: 10.2.128.0/20\n  service_cidr: 10.9.0.0/16\n")
    assert judged("inv/a") == [
        (
            'inv/a/region.yml:3: cluster.pod_cidr: The network overlaps cluster.service_cidr "10.9.0.0/16" of '
            'inv/b/region.yml, found "10.8.0.0/14"'
        ),
        (
            'inv/a/region.yml:4: cluster.service_cidr: The network overlaps cluster.pod_cidr "10.2.128.0/20" of '
            'inv/b/region.yml, found "10.2.0.0/16"'
        ),
    ]
    assert len(judged("inv/b")) == 2
    assert len(judged("inv/a", "inv/b")) == 2


def test_two_regions_on_the_default_networks_overlap() -> None:
    declare("a")
    declare("b")
    assert [line.split(": ")[1] for line in judged("inv")] == ["cluster.pod_cidr", "cluster.service_cidr"]


SECOND = "foundation: {{second_store: {{endpoint: '{}', bucket: {}}}}}\n"
AWAY = SECOND.format("https://s3.example.com", "copies")


def mixed(place: str, owner: str, bucket: str) -> str:
    said = f'foundation.second_store.bucket: The bucket is one of region "{owner}", and what lies there would be mixed'
    return f'{place}: {said}, found "{bucket}": name a bucket that no other region uses'


def test_the_second_store_of_another_region_is_taken() -> None:
    declare("a", AWAY)
    declare("b", OTHER + AWAY)
    assert judged("inv") == [mixed("inv/b/region.yml:3", "a", "copies")]
    assert judged("inv/a") == [mixed("inv/a/region.yml:2", "b", "copies")]


@pytest.mark.parametrize("source", ["inv", "inv/a", "inv/b"])
def test_the_own_store_of_another_region_is_no_second_store(source: str) -> None:
    declare("a")
    declare("b", OTHER + SECOND.format("http://kontrol-a-backup-store:7070", "kontrol-backups"))
    assert judged(source) == [mixed("inv/b/region.yml:3", "a", "kontrol-backups")]


def test_a_second_store_that_was_refused_is_not_compared() -> None:
    declare("a", AWAY)
    declare("b", OTHER + SECOND.format("s3.example.com", "copies"))
    (line,) = judged("inv")
    assert "foundation.second_store.endpoint: Expected the address of an S3 server" in line
    assert 'found "s3.example.com"' in line


def test_a_broken_neighbour_is_a_warning_and_compared_as_far_as_it_can_be(here: Path) -> None:
    declare("a")
    declare("b", "cluster: {pod_cidr: 7, service_cidr: 10.96.0.0/16}\n", name="a")
    declare("c", "cluster: [")
    found = regions.judge([str(here / "inv" / "a")], ROOT, ROLES, {})
    assert found.warnings == [
        "inv/b/region.yml has 1 problem of its own: what is wrong there was not compared",
        "inv/c/region.yml has 1 problem of its own: what is wrong there was not compared",
    ]
    assert [problem.path for problem in found.problems] == ["region.name", "cluster.service_cidr"]


SPEC = "inv/a/region.yml"


@pytest.mark.parametrize(
    ("extra_vars", "lines"),
    [
        ({"adopt": "x", "confirm": "a", "kubeconfig": "/k"}, []),
        ({"region_name": "a", "cluster_wait_timeout": 60, "region_market": None}, []),
        (
            {"confirm": "{{ region_name }}"},
            [
                'confirm: Templates are not read here, found "{{ region_name }}": write the value itself',
            ],
        ),
        ({"confrim": "a"}, ['confrim: Unknown extra variable, found "a": did you mean "confirm"']),
        ({"x": 1}, [f"x: Unknown extra variable, found 1: allowed are {', '.join(EXTRA_VARS)}"]),
        ({"kontrol_root": "/x"}, ['kontrol_root: The run sets this variable itself, found "/x": leave it out']),
        (
            {"cluster_wait_timeout": "60"},
            [
                f'cluster_wait_timeout: The spec says 60 ({SPEC}:2), found "60": change the spec, or leave this out',
            ],
        ),
        (
            {"region_protected": "false"},
            [
                f'region_protected: The spec says false ({SPEC}:1), found "false": change the spec, or leave this out',
            ],
        ),
        (
            {"cluster_pod_cdir": "x"},
            ['cluster_pod_cdir: Unknown option of cluster, found "x": did you mean "pod_cidr"'],
        ),
        ({"cluster_zzzz": "x"}, ['cluster_zzzz: Unknown option of cluster, found "x": options belong in the spec']),
        ({"store_size": "1Gi"}, ['store_size: The spec has no block "store", found "1Gi": options belong in the spec']),
        (
            {"store_token": "CANARY"},
            [
                (
                    'store_token: The spec has no block "store", found a value that is not shown here: '
                    "options belong in the spec"
                ),
            ],
        ),
    ],
)
def test_extra_variables(extra_vars: dict[str, Any], lines: list[str]) -> None:
    declare("a", "cluster: {wait_timeout: 60}\n")
    assert judged("inv/a", extra_vars=extra_vars) == [f"--extra-vars: {line}" for line in lines]


def test_an_extra_variable_is_compared_with_every_region() -> None:
    declare("a")
    declare("b", f"{OTHER}store: {{size: 2Gi}}\n")
    assert judged("inv", extra_vars={"store_size": "2Gi"}) == []
    assert judged("inv", extra_vars={"region_name": "a"}) == [
        (
            '--extra-vars: region_name: The spec says "b" (inv/b/region.yml:1), found "a": '
            "change the spec, or leave this out"
        )
    ]


def test_an_extra_variable_is_not_compared_with_a_refused_value() -> None:
    declare("a", "cluster: {wait_timeout: soon}\n")
    assert len(judged("inv/a", extra_vars={"cluster_wait_timeout": 60})) == 1
