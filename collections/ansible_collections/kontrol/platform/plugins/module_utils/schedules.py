"""Schedules of cron as Kubernetes reads them, in UTC: whether one makes sense, and its longest gap."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from itertools import pairwise, takewhile
from typing import Final

from cronsim import CronSim, CronSimError

FIELDS: Final = 5
_KNOWN: Final = re.compile(r"[0-9A-Za-z*,/-]+\Z")
"""What Kubernetes knows; the library also takes L, W and #, which differ from one cron to the next."""
_NAMES: Final = re.compile(r"(?i)(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)\Z")
_SUNDAY: Final = re.compile(r"(^|[,-])7")
_START: Final = datetime(2023, 12, 31, 23, 59, tzinfo=UTC)
_YEARS: Final = 9
"""Long enough for two leap days."""


class ScheduleError(ValueError):
    """A schedule is none; the text says why."""


@lru_cache(maxsize=256)
def longest_gap(schedule: str) -> float:
    """Return the most minutes between two moments of a schedule.

    Days and times of day are looked at by themselves, so that a schedule of each minute costs no more than others.

    Raises:
        ScheduleError: five fields are missing, one is out of its range, or the schedule never comes.
    """
    minute, hour, *of_day = _fields(schedule)
    times = _moments(f"{minute} {hour} * * *", _START + timedelta(days=1))
    days = [one.date() for one in _moments(" ".join(["0", "0", *of_day]), _START + timedelta(days=_YEARS * 366))]
    if len(days) < 2:
        raise ScheduleError("it never comes")
    offsets = [one.hour * 60 + one.minute for one in times]
    within = max((later - earlier for earlier, later in pairwise(offsets)), default=0)
    return float(max(within, _longest(days) * 1440 + offsets[0] - offsets[-1]))


def _longest(days: list[date]) -> int:
    """Return the most days from one date to the next."""
    return max((later - earlier).days for earlier, later in pairwise(days))


def _fields(schedule: str) -> list[str]:
    fields = schedule.split()
    if len(fields) != FIELDS:
        raise ScheduleError(f"it has {len(fields)} fields")
    for field in fields:
        letters = [part for part in re.split(r"[^A-Za-z]+", field) if part]
        if not _KNOWN.match(field) or not all(_NAMES.match(one) for one in letters):
            raise ScheduleError(f'Kubernetes does not know "{field}"')
    if _SUNDAY.search(fields[-1]):
        raise ScheduleError("Sunday is 0 in Kubernetes, not 7")
    return fields


def _moments(schedule: str, end: datetime) -> list[datetime]:
    try:
        return list(takewhile(lambda moment: moment <= end, CronSim(schedule, _START)))
    except CronSimError as error:
        raise ScheduleError(str(error).lower()) from error
