from __future__ import annotations

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import schedules

DAY = 1440.0


@pytest.mark.parametrize(
    ("schedule", "minutes"),
    [
        ("0 3 * * *", DAY),
        ("*/15 * * * *", 15),
        ("* * * * *", 1),
        ("0 3 * * 1", 7 * DAY),
        ("0 3 * * mon-fri", 3 * DAY),
        ("0 2,14 * * *", DAY / 2),
        ("0 2,4 * * *", 22 * 60),
        ("30 1,23 * * 0", 7 * DAY - 22 * 60),
        ("0 3 1 * *", 31 * DAY),
        ("* * 1 * *", 30 * DAY + 1),
        ("0 3 1 * 1", 7 * DAY),  # either of both, as cron has it
        ("0 0 29 2 *", (4 * 365 + 1) * DAY),
        ("0 3 * JAN,JUL *", 154 * DAY),
        ("  0   3 * * *  ", DAY),
    ],
)
def test_the_longest_gap(schedule: str, minutes: float) -> None:
    assert schedules.longest_gap(schedule) == minutes


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        ("", "it has 0 fields"),
        ("0 3 * *", "it has 4 fields"),
        ("0 0 3 * * *", "it has 6 fields"),
        ("@daily", "it has 1 fields"),
        ("60 3 * * *", "bad minute"),
        ("0 24 * * *", "bad hour"),
        ("0 3 * * 7", "Sunday is 0"),
        ("0 3 * * 5-7", "Sunday is 0"),
        ("0 3 L * *", 'does not know "L"'),
        ("0 3 * * 1#2", 'does not know "1#2"'),
        ("0 3 ? * *", r'does not know "\?"'),
        ("0 3 30 2 *", "never|bad"),
        ("0 3 * * *; rm", "6 fields"),
    ],
)
def test_what_is_no_schedule(schedule: str, why: str) -> None:
    with pytest.raises(schedules.ScheduleError, match=why):
        schedules.longest_gap(schedule)
