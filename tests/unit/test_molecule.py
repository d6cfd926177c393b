"""Molecule's scenarios: the whole region, and one for each component that it names."""

from __future__ import annotations

import yaml

from tests.e2e.harness import ROOT

SCENARIOS = {"default", "mesh", "clickhouse", "neo4j", "monitoring"}


def test_there_are_five_scenarios_and_ci_runs_all_of_them() -> None:
    assert {path.parent.name for path in ROOT.glob("molecule/*/molecule.yml")} == SCENARIOS
    stages = yaml.safe_load((ROOT / "tests" / "stages.yml").read_text(encoding="utf-8"))["stages"]
    assert ["molecule test --all" in stage["run"] for stage in stages if stage["name"] == "molecule"] == [True]


def test_a_component_is_lost_before_it_is_made_again() -> None:
    """Otherwise its scenario would find everything in place, and prove nothing."""
    common = yaml.safe_load((ROOT / ".config" / "molecule" / "config.yml").read_text(encoding="utf-8"))
    assert common["scenario"]["test_sequence"][1:4] == ["side_effect", "check", "converge"]
    for name in SCENARIOS - {"default"}:
        (play,) = yaml.safe_load((ROOT / "molecule" / name / "side_effect.yml").read_text(encoding="utf-8"))
        assert "import_playbook" in str(play) or "kontrol.platform.delete" in str(play)


def test_each_scenario_is_about_a_role_of_the_test_region() -> None:
    region = yaml.safe_load((ROOT / "tests" / "inventories" / "molecule" / "region.yml").read_text(encoding="utf-8"))
    assert SCENARIOS - {"default"} <= set(region)
