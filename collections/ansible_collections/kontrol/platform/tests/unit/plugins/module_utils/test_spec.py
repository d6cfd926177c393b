"""A spec is read with its profile, judged as a whole and completed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.kontrol.platform.plugins.module_utils import spec
from ansible_collections.kontrol.platform.plugins.module_utils.paths import project_root
from ansible_collections.kontrol.platform.plugins.module_utils.problems import Problem
from ansible_collections.kontrol.platform.plugins.module_utils.rules import RoleRules
from ansible_collections.kontrol.platform.plugins.module_utils.schema import SchemaError
from ansible_collections.kontrol.platform.plugins.module_utils.spec import Region, Role, Roles

STORE: dict[str, dict[str, Any]] = {
    "size": {"type": "str", "default": "1Gi"},
    "owner": {"type": "str"},
    "admin": {"type": "dict", "options": {"password": {"type": "str", "no_log": True}, "shell": {"type": "bool"}}},
    "users": {
        "type": "list",
        "elements": "dict",
        "options": {"name": {"type": "str"}, "quota": {"type": "int", "default": 5}},
    },
}


def big_only(block: dict[str, Any], region: dict[str, Any]) -> list[Problem]:
    if block["size"] != "1Gi" and region["region"]["driver"] != "aws":
        return [Problem("", "store.size", block["size"], "Too big for kind")]
    return []


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with the real roles that every region has, and two profiles."""
    for role in spec.ALWAYS:
        shutil.copytree(project_root() / "roles" / role / "meta", tmp_path / "roles" / role / "meta")
    shutil.copy(project_root() / "markets.yml", tmp_path)
    write(tmp_path / "profiles" / "small.yml", "cluster: {wait_timeout: 60}\nstore: {size: 2Gi, owner: shared}\n")
    write(tmp_path / "profiles" / "bad.yml", "region: {name: x}\ncluster:\n  wait_timeout: soon\n  note: '{{ x }}'\n")
    return tmp_path


@pytest.fixture
def roles(root: Path) -> Roles:
    return spec.load_roles(root) | {
        "web": Role("web", {}, RoleRules(requires=("store", "net"))),
        "store": Role("store", STORE, RoleRules(requires=("cluster", "net"), check=big_only)),
        "net": Role("net", {}, RoleRules(requires=("cluster",))),
    }


def write(file: Path, text: str | bytes) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def read(root: Path, roles: Roles, text: str | bytes) -> tuple[Region | None, list[str]]:
    region, problems = spec.read_region(write(root / "r" / "region.yml", text), root, roles)
    return region, [str(problem).replace(f"{root}/", "") for problem in problems]


HEAD = "region: {name: r, driver: kind}\n"


def test_the_smallest_spec_equals_the_one_with_its_defaults_written_out(root: Path, roles: Roles) -> None:
    small, problems = read(root, roles, f"{HEAD}net: {{}}\nstore: {{}}\n")
    assert problems == []
    assert small is not None
    assert {
        "region_profile": None,
        "region_protected": False,
        "cluster_wait_timeout": 300,
        "store_size": "1Gi",
        "store_owner": None,
        "store_admin": {"password": None, "shell": None},
        "store_users": None,
    }.items() <= small.variables().items()
    written, problems = read(root, roles, yaml.safe_dump(given(small.blocks)))
    assert problems == []
    assert written is not None
    assert written.variables() == small.variables()


def given(value: Any) -> Any:
    """Leave out what has no value: a spec cannot write "nothing"."""
    return {key: given(item) for key, item in value.items() if item is not None} if isinstance(value, dict) else value


def test_defaults_inside_lists(root: Path, roles: Roles) -> None:
    region, problems = read(root, roles, f"{HEAD}net: {{}}\nstore: {{users: [{{name: a}}, {{quota: 1}}]}}\n")
    assert problems == []
    assert region is not None
    assert region.blocks["store"]["users"] == [{"name": "a", "quota": 5}, {"name": None, "quota": 1}]


def test_a_map_that_needs_something_is_not_made_of_defaults() -> None:
    options = {"x": {"type": "dict", "options": {"y": {"type": "str", "required": True}}}}
    assert spec.complete(options, {}) == {"x": None}


def test_components_come_after_what_they_require_and_else_as_written(root: Path, roles: Roles) -> None:
    region, problems = read(root, roles, f"web: {{}}\nstore: {{}}\n{HEAD}net: {{}}\n")
    assert problems == []
    assert region is not None
    assert region.components == ["net", "store", "web"]
    assert list(region.blocks) == ["region", "foundation", "cluster", "net", "store", "web"]


def test_a_component_follows_another_only_where_that_is_there(root: Path, roles: Roles) -> None:
    late = roles | {
        "net": Role("net", {}, RoleRules(requires=("cluster",), after=("watch",))),
        "watch": Role("watch", {}, RoleRules()),
    }
    for text, order in ((f"{HEAD}net: {{}}\n", ["net"]), (f"{HEAD}net: {{}}\nwatch: {{}}\n", ["watch", "net"])):
        region, problems = read(root, late, text)
        assert problems == []
        assert region is not None
        assert region.components == order


def test_a_component_whose_requirement_is_off(root: Path, roles: Roles) -> None:
    _region, problems = read(root, roles, f"{HEAD}web: {{}}\nstore: {{}}\n")
    assert problems == [
        'r/region.yml:2: web: The component needs the block "net": add "net: {}"',
        'r/region.yml:3: store: The component needs the block "net": add "net: {}"',
    ]


def test_roles_that_require_each_other(root: Path, roles: Roles) -> None:
    circle = roles | {"net": replace(roles["net"], rules=RoleRules(requires=("store",)))}
    with pytest.raises(SchemaError, match="The roles store, net require or follow each other"):
        read(root, circle, f"{HEAD}store: {{}}\nnet: {{}}\n")


def test_a_spec_wins_over_its_profile_which_adds_no_component(root: Path, roles: Roles) -> None:
    region, problems = read(root, roles, "region: {name: r, driver: kind, profile: small}\n")
    assert problems == []
    assert region is not None
    assert region.components == []
    assert region.blocks["cluster"]["wait_timeout"] == 60

    text = "region: {name: r, driver: kind, profile: small}\ncluster: {wait_timeout: 90}\nnet: {}\nstore: {size: 1Gi}\n"
    region, problems = read(root, roles, text)
    assert problems == []
    assert region is not None
    assert region.blocks["cluster"]["wait_timeout"] == 90
    assert (region.blocks["store"]["size"], region.blocks["store"]["owner"]) == ("1Gi", "shared")


def test_what_is_wrong_in_a_profile_is_reported_there_once(root: Path, roles: Roles) -> None:
    _region, problems = read(root, roles, "region: {name: r, driver: kind, profile: bad}\n")
    allowed = "protected, rto_minutes, rpo_minutes, market, description"
    assert sorted(problems) == [
        f"profiles/bad.yml:1: region.name: Unknown option: allowed are {allowed}",
        'profiles/bad.yml:3: cluster.wait_timeout: Expected a whole number, found "soon"',
        'profiles/bad.yml:4: cluster.note: Templates are not read in a spec, found "{{ x }}": write the value itself',
    ]


def test_the_value_of_a_profile_that_breaks_a_rule_is_located_there(root: Path, roles: Roles) -> None:
    text = "region: {name: r, driver: kind, profile: small}\nnet: {}\nstore: {}\n"
    _region, problems = read(root, roles, text)
    assert problems == ['profiles/small.yml:2: store.size: Too big for kind, found "2Gi"']


@pytest.mark.parametrize(
    ("profile", "problem"),
    [
        ("smal", 'r/region.yml:1: region.profile: No such profile, found "smal": did you mean "small"'),
        (
            "production",
            'r/region.yml:1: region.profile: No such profile, found "production": there are bad, empty, small',
        ),
        (
            "../small",
            'r/region.yml:1: region.profile: Expected the name of a file in profiles/ without .yml, found "../small"',
        ),
        (
            "[small]",
            "r/region.yml:1: region.profile: Expected the name of a file in profiles/ without .yml, found a list",
        ),
        ("empty", 'profiles/empty.yml: The file is empty: expected a map of blocks such as "region:"'),
    ],
)
def test_a_profile_that_is_not_there(root: Path, roles: Roles, profile: str, problem: str) -> None:
    write(root / "profiles" / "empty.yml", "# nothing\n")
    _region, problems = read(root, roles, f"region: {{name: r, driver: kind, profile: {profile}}}\nclustr: {{}}\n")
    unknown = 'r/region.yml:2: clustr: Unknown block: did you mean "cluster"'
    assert sorted(problems) == sorted([problem, unknown])


EMPTY = 'expected a map of blocks such as "region:"'


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("", [f"r/region.yml: The file is empty: {EMPTY}"]),
        ("# only this\n", [f"r/region.yml: The file is empty: {EMPTY}"]),
        ("{}\n", [f"r/region.yml: The file is empty: {EMPTY}"]),
        ("- region\n", [f"r/region.yml: The file holds no map: {EMPTY}"]),
        ("region\n", [f"r/region.yml: The file holds no map: {EMPTY}"]),
        ("net: {}\n", ["r/region.yml:1: region: Block is missing: it needs a map with name"]),
        ("region:\n", ["r/region.yml:1: region: Value is missing: it needs a map with name"]),
        ("region: [a]\n", ["r/region.yml:1: region: Expected a map, found a list"]),
        (f"{HEAD}net:\n", ["r/region.yml:2: net: Value is missing: write {} to take every default"]),
        (
            f"{HEAD}kafka: {{}}\n",
            [
                "r/region.yml:2: kafka: Unknown block: allowed are region, foundation, cluster, web, store, net",
            ],
        ),
        (
            f"{HEAD}---\n{HEAD}",
            [
                'r/region.yml:3:1: One document is wanted, a second one follows: remove the "---"',
            ],
        ),
        (f"{HEAD}{HEAD}", ['r/region.yml:2:1: Key "region" stands twice in one map']),
        (
            "region: {name: r\n",
            [
                (
                    "r/region.yml:2:1: Cannot be read as YAML: "
                    "did not find expected ',' or '}' while parsing a flow mapping"
                ),
            ],
        ),
        (b"region: {name: Espa\xf1a}\n", ["r/region.yml:1:20: Byte 0xf1 is not UTF-8: save the file as UTF-8"]),
    ],
)
def test_files_that_are_no_spec(root: Path, roles: Roles, text: str | bytes, problems: list[str]) -> None:
    assert read(root, roles, text)[1] == problems


def test_a_file_that_cannot_be_read(root: Path, roles: Roles) -> None:
    region, problems = spec.read_region(root / "gone" / "region.yml", root, roles)
    assert region is None
    assert [problem.message for problem in problems] == ["The file cannot be read: No such file or directory"]


def test_a_template_is_refused_in_values_and_keys_and_is_the_only_problem_of_its_value(
    root: Path, roles: Roles
) -> None:
    text = "region: {name: '{{ x }}', driver: kind}\nnet: {}\nstore:\n  owner: '{% if x %}'\n  '{{ k }}': 1\n"
    _region, problems = read(root, roles, text)
    end = "write the value itself"
    assert problems == [
        f'r/region.yml:1: region.name: Templates are not read in a spec, found "{{{{ x }}}}": {end}',
        f'r/region.yml:4: store.owner: Templates are not read in a spec, found "{{% if x %}}": {end}',
        f'r/region.yml:5: store.{{{{ k }}}}: Templates are not read in a spec, found "{{{{ k }}}}": {end}',
    ]


def test_rules_are_asked_even_where_the_schema_refused_something(root: Path, roles: Roles) -> None:
    text = "region: {name: R, driver: kidn}\ncluster: {pod_cidr: 5, wait_timeout: 1}\nnet: {}\nstore: {size: 9Gi}\n"
    region, problems = read(root, roles, text)
    assert [problem.split(": ")[1] for problem in problems] == [
        "region.name",
        "region.driver",
        "cluster.pod_cidr",
        "cluster.wait_timeout",
        "store.size",
    ]
    assert region is not None
    assert region.refused == {problem.split(": ")[1] for problem in problems}


@pytest.mark.parametrize(
    "store",
    [
        "{admin: {password: CANARY-32, shell: 5}}",
        "{admin: {password: [CANARY-32]}}",
        "{admin: {password: '{{ CANARY-32 }}'}}",
        "{root_password: CANARY-32}",
    ],
)
def test_no_secret_is_shown(root: Path, roles: Roles, store: str) -> None:
    _region, problems = read(root, roles, f"{HEAD}net: {{}}\nstore: {store}\n")
    assert len(problems) == 1
    assert "CANARY" not in problems[0]


def test_the_secret_of_a_rules_problem_is_hidden(root: Path, roles: Roles) -> None:
    def tells(block: dict[str, Any], _region: dict[str, Any]) -> list[Problem]:
        return [Problem("", "store.admin.password", block["admin"]["password"], "Too short")]

    talking = roles | {"store": replace(roles["store"], rules=RoleRules(check=tells))}
    _region, problems = read(root, talking, f"{HEAD}store: {{admin: {{password: x}}}}\n")
    assert problems == ["r/region.yml:2: store.admin.password: Too short, found a value that is not shown here"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("argument_specs: {other: {}}", "has no argument_specs.main"),
        ("[]", "has no argument_specs.main"),
        ("argument_specs: {main: {options: {size: {}}}}", 'Option "size" in ".*" does not start with "cluster_"'),
    ],
)
def test_a_broken_argument_spec(root: Path, text: str, message: str) -> None:
    write(root / "roles" / "cluster" / "meta" / "argument_specs.yml", text)
    with pytest.raises(SchemaError, match=message):
        spec.load_roles(root)


def test_variables_of_the_run_are_no_options(root: Path) -> None:
    text = "argument_specs: {main: {options: {kontrol_verb: {type: str}, cluster_x: {type: str}}}}"
    write(root / "roles" / "cluster" / "meta" / "argument_specs.yml", text)
    assert list(spec.load_roles(root)["cluster"].options) == ["x"]


def test_a_folder_that_is_not_the_project(tmp_path: Path) -> None:
    with pytest.raises(SchemaError, match='No argument spec of the role "region"'):
        spec.load_roles(tmp_path)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("market: BR", "region.driver: The policy would choose aws sa-east-1 (São Paulo, BR), but the driver aws"),
        ("market: BR, driver: gcp", "region.driver: The policy would choose gcp southamerica-east1"),
        ("market: BR, driver: aws, location: eu-west-1", "region.location: aws eu-west-1 (Dublin, IE) is not allowed"),
        ("location: sa-east-9", "region.location: The policy knows no such location"),
        ("profile: small", "region.market: There is nothing to decide a driver and a location by"),
        ("market: XB", "region.market: No country has this ISO 3166-1 code"),
        ("market: PT, driver: kind", "region.market: The policy knows no such market"),
    ],
)
def test_what_contradicts_the_market_policy_is_refused_where_it_stands(
    root: Path, roles: Roles, options: str, told: str
) -> None:
    _region, problems = read(root, roles, "region:\n  name: r\n  {}\n".replace("{}", options.replace(", ", "\n  ")))
    assert any(told in problem for problem in problems), problems
    assert all(problem.startswith("r/region.yml:") for problem in problems)


def test_what_the_policy_decides_is_a_variable_and_explained(root: Path, roles: Roles) -> None:
    region, problems = read(root, roles, "region: {name: r, market: BR, driver: kind}\n")
    assert problems == []
    assert region is not None
    assert region.variables()["region_location"] == "local"
    assert region.decision is not None
    assert region.decision.reasons


def test_a_policy_that_is_broken_is_a_problem_of_its_file(root: Path, roles: Roles) -> None:
    write(root / "markets.yml", "locations: {}\nmarkets: 5\n")
    _region, problems = read(root, roles, "region: {name: r, driver: kind}\n")
    assert problems
    assert all("markets.yml" in problem for problem in problems)
