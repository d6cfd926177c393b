from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.lease import (
    DURATION_SECONDS,
    NAME,
    PATH,
    BusyError,
    Holder,
    Lease,
    describe,
)
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.fakes import FakeApi, FakeClock

FIRST = Holder("run-1", "r", "bootstrap", 1, "host", "2026-01-01T00:00:00Z")
SECOND = replace(FIRST, run="run-2", pid=2)
WHERE = f"{PATH}/{NAME}"


def lease(api: FakeApi, holder: Holder, clock: FakeClock | None = None) -> Lease:
    clock = clock or FakeClock()
    return Lease(api, holder, clock, clock.sleep)


def renewed(mine: Lease) -> None:
    mine.renew()


def spec(api: FakeApi) -> dict[str, Any]:
    found = api.get(WHERE)
    assert found is not None
    return dict(found["spec"])


def test_a_free_lease_is_taken_renewed_given_back_and_taken_again() -> None:
    api = FakeApi()
    mine = lease(api, FIRST)
    mine.acquire()
    assert spec(api)["holderIdentity"] == "run-1"
    assert spec(api)["leaseDurationSeconds"] == DURATION_SECONDS
    before = spec(api)["renewTime"]
    assert mine.renew()
    assert spec(api)["renewTime"] >= before
    mine.release()
    assert "holderIdentity" not in spec(api)
    clock = FakeClock()
    lease(api, SECOND, clock).acquire()
    assert clock.at == 1000.0, "a Lease that was given back is not waited for"
    assert spec(api)["holderIdentity"] == "run-2"
    assert spec(api)["leaseTransitions"] == 1


def test_taking_what_one_holds_already_changes_nothing() -> None:
    api = FakeApi()
    lease(api, FIRST).acquire()
    writes = len(api.writes)
    lease(api, FIRST).acquire()
    assert len(api.writes) == writes


def test_a_living_holder_is_not_displaced_and_is_named() -> None:
    api, said = FakeApi(), list[str]()
    first = lease(api, FIRST)
    first.acquire()
    clock = FakeClock(on_sleep=lambda: None)
    clock.on_sleep = lambda: renewed(first) if clock.at > 1003 else None
    with pytest.raises(BusyError) as caught:
        lease(api, SECOND, clock).acquire(said.append)
    assert 'Region "r" is being written by run "run-1" of bootstrap (pid 1 on host' in str(caught.value)
    assert clock.at < 1010
    assert "waiting up to 20 s" in said[0]
    assert spec(api)["holderIdentity"] == "run-1"


def test_a_dead_holder_is_displaced_only_after_its_whole_duration() -> None:
    api, clock, said = FakeApi(), FakeClock(), list[str]()
    lease(api, FIRST).acquire()
    lease(api, SECOND, clock).acquire(said.append)
    assert clock.at >= 1000 + DURATION_SECONDS
    assert spec(api)["holderIdentity"] == "run-2"
    assert "taken over from run" in said[-1]
    assert not lease(api, FIRST).renew(), "the displaced one must know"


def test_a_lease_given_back_while_it_is_watched_is_taken_at_once() -> None:
    api, clock = FakeApi(), FakeClock()
    first = lease(api, FIRST)
    first.acquire()
    clock.on_sleep = first.release
    lease(api, SECOND, clock).acquire()
    assert clock.at < 1003
    assert spec(api)["holderIdentity"] == "run-2"


def test_of_two_that_take_a_free_lease_one_gets_it() -> None:
    api, clock = FakeApi(), FakeClock()
    first = lease(api, FIRST)
    api.before_write = first.acquire
    clock.on_sleep = lambda: renewed(first)
    with pytest.raises(BusyError, match="run-1"):
        lease(api, SECOND, clock).acquire()
    assert spec(api)["holderIdentity"] == "run-1"


def test_of_two_that_watch_a_dead_holder_one_gets_it() -> None:
    api, clock = FakeApi(), FakeClock()
    lease(api, FIRST).acquire()
    third = lease(api, replace(FIRST, run="run-3"), FakeClock())
    api.before_write = third.acquire  # it is faster by a moment
    clock.on_sleep = lambda: renewed(third)
    with pytest.raises(BusyError, match="run-3"):
        lease(api, SECOND, clock).acquire()


def test_renew_and_release_repeat_after_a_conflict_and_respect_another_holder() -> None:
    api = FakeApi()
    first = lease(api, FIRST)
    assert not first.renew()
    first.release()
    first.acquire()

    def touch() -> None:
        found = api.get(WHERE)
        assert found is not None
        api.put(WHERE, found)

    api.before_write = touch
    assert first.renew()
    api.before_write = touch
    first.release()
    assert "holderIdentity" not in spec(api)
    lease(api, SECOND).acquire()
    first.release()
    assert spec(api)["holderIdentity"] == "run-2"


def test_a_stranger_in_the_lease_is_named_by_its_identity() -> None:
    assert describe({"spec": {"holderIdentity": "someone"}}) == '"someone"'
    assert describe({"spec": {}}) == ""
    assert Holder.from_json("{") is None
