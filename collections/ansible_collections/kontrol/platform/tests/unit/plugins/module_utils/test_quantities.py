"""Memory and storage quantities."""

from __future__ import annotations

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import quantities


@pytest.mark.parametrize(
    ("text", "size"), [("512Mi", 512 * 2**20), ("2Gi", 2**31), ("1G", 10**9), ("1Ti", 2**40), ("128974848", 128974848)]
)
def test_to_bytes(text: str, size: int) -> None:
    assert quantities.to_bytes(text) == size


@pytest.mark.parametrize("text", ["", "0Mi", "1.5Gi", "2 Gi", "2gi", "Gi", "-1Gi", "1Gi\n"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number with a unit"):
        quantities.to_bytes(text)
    with pytest.raises(ValueError, match="is not a whole number with a unit"):
        quantities.times(text, 2)


def test_times_keeps_the_unit() -> None:
    assert quantities.times("64Mi", 8) == "512Mi"
    assert quantities.times("64", 2) == "128"


@pytest.mark.parametrize(("size", "text"), [(3 * 2**29, "1.5Gi"), (768 * 2**20, "768Mi"), (5, "5"), (2**40, "1Ti")])
def test_to_text(size: int, text: str) -> None:
    assert quantities.to_text(size) == text
