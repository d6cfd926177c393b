from __future__ import annotations

from ansible_collections.kontrol.platform.plugins.module_utils.text_table import (
    checks_summary,
    checks_table,
    table,
)


def test_columns_are_aligned_and_no_line_ends_with_space() -> None:
    assert table(["a", "bb"], [["long", "x"], ["", "y"]]) == ["a     bb", "----  --", "long  x", "      y"]


def test_long_cells_are_wrapped_to_the_width() -> None:
    lines = table(["check", "seen"], [["name", "word " * 60], ["other", "short"]], width=60)
    assert max(len(line) for line in lines) <= 60
    assert "".join(lines).count("word") == 60
    assert lines[-1] == "other  short"


def test_a_failed_check_and_an_exception_stand_out() -> None:
    base = {"check": "port refused", "target": "pod:9000", "expected": "refused", "seen": "refused", "ok": True}
    lines = checks_table([base, {**base, "ok": False, "seen": "open"}, {**base, "owner": "mesh", "reason": "probes"}])
    assert lines[2].startswith("ok  ")
    assert lines[3].startswith("FAIL")
    assert lines[4].endswith("refused (mesh: probes)")
    assert max(len(line) for line in lines) <= 100


def test_many_wide_columns_stop_shrinking() -> None:
    assert table(["x" * 50] * 12, [], width=20)


def test_a_name_is_broken_at_its_hyphens_by_nobody() -> None:
    lines = table(["a", "b"], [["x" * 30, "PeerAuthentication istio-system/default"]], width=55)
    assert any(line.endswith("istio-system/default") for line in lines)


def check(name: str, target: str, expected: str, seen: str, *, ok: bool = True) -> dict[str, object]:
    return {"component": "mesh", "check": name, "target": target, "expected": expected, "seen": seen, "ok": ok}


def test_green_checks_of_a_kind_are_one_line_and_a_red_one_is_whole_and_last() -> None:
    lines = checks_summary(
        [
            check("port", "pod:1", "refused", "reset"),
            check("port", "pod:2", "refused", "open 200", ok=False),
            check("port", "pod:3", "answers", "open 200"),
            check("port", "pod:4", "refused", "reset"),
            check("node", "n1", "True", "True"),
        ],
    )
    assert [" ".join(line.split()) for line in lines[2:4]] == [
        "ok mesh port 3 refused 2, answers 1",
        "ok mesh node 1 n1: True",
    ]
    assert lines[4] == ""
    assert " ".join(lines[-1].split()) == "FAIL port pod:2 refused open 200"
    assert not any("pod:3" in line for line in lines)


def test_of_many_expectations_none_is_told() -> None:
    lines = checks_summary([check("ports", f"pod{n}", str(n), "all declared") for n in range(4)])
    assert lines[-1].endswith("4  each as expected")


def test_only_red_checks_make_one_table() -> None:
    lines = checks_summary([check("port", "pod:2", "refused", "open 200", ok=False)])
    assert len(lines) == 3
    assert lines[-1].startswith("FAIL")
