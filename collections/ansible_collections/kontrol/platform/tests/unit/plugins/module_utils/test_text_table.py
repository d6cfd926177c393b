from __future__ import annotations

from ansible_collections.kontrol.platform.plugins.module_utils.text_table import checks_table, table


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
