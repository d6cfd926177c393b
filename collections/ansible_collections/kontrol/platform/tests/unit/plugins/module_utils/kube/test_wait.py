"""Waiting by LIST and WATCH against the stub, and the reasons told on failure."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client
from ansible_collections.kontrol.platform.plugins.module_utils.kube.discovery import Discovery
from ansible_collections.kontrol.platform.plugins.module_utils.kube.objects import ObjectId
from ansible_collections.kontrol.platform.plugins.module_utils.kube.wait import Target, Waiter
from ansible_collections.kontrol.platform.tests.unit.stub_api import Object, StubApi

SPACE = "kontrol-system"


def made(kind: str, name: str, api_version: str = "v1", **more: Any) -> Object:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": SPACE}, **more}


def claim(name: str, phase: str) -> Object:
    return made("PersistentVolumeClaim", name, status={"phase": phase})


def job(**status: Any) -> Object:
    spec = {"selector": {"matchLabels": {"job": "j"}}}
    return made("Job", "j", "batch/v1", spec=spec, status=status)


def target(client: Client, obj: Object, field: str | None = None, value: str | None = None) -> Target:
    return Target(ObjectId.of(obj), Discovery(client).resource(obj["apiVersion"], obj["kind"]), field, value)


def later(seconds: float, work: Callable[[], Any]) -> None:
    timer = threading.Timer(seconds, work)
    timer.daemon = True
    timer.start()


def watches(api: StubApi) -> int:
    return len([request for request in api.requests if "watch" in request.query])


def after_watches(api: StubApi, count: int, work: Callable[[], Any]) -> None:
    """Do something once so many watches were asked for: a delay in seconds would race on a busy machine."""

    def wait() -> None:
        while watches(api) < count:
            time.sleep(0.01)
        work()

    threading.Thread(target=wait, daemon=True).start()


def test_what_is_ready_is_not_watched(api: StubApi, client: Client) -> None:
    claims = [api.put(claim(name, "Bound")) for name in ("a", "b")]
    waiter = Waiter(client, [target(client, one) for one in claims], 5)
    waiter.run()
    assert [one["state"] for one in waiter.summary()] == ["done", "done"]
    assert not [request for request in api.requests if "watch" in request.query]
    assert api.writes == []


def test_a_change_ends_the_wait(api: StubApi, client: Client) -> None:
    api.put(claim("a", "Pending"))
    later(0.2, lambda: api.put(claim("a", "Bound")))
    began = time.monotonic()
    Waiter(client, [target(client, claim("a", ""))], 10).run()
    assert time.monotonic() - began < 3
    watches = [request for request in api.requests if "watch" in request.query]
    assert watches[0].query["fieldSelector"] == "metadata.name=a"


def test_many_kinds_at_once_share_one_deadline(api: StubApi, client: Client) -> None:
    waiting = [claim("a", "Pending"), claim("b", "Pending"), job(active=1)]
    for one in waiting:
        api.put(one)
    began = time.monotonic()
    with pytest.raises(KontrolError) as caught:
        Waiter(client, [target(client, one) for one in waiting], 1.2).run()
    assert time.monotonic() - began < 3
    text = str(caught.value)
    assert "Not ready after 1 s (3 of 3 are not ready)" in text
    assert "PersistentVolumeClaim kontrol-system/a: its phase is Pending" in text
    assert "Job.batch kontrol-system/j: its pods: 1 active" in text
    assert [one["state"] for one in caught.value.result["waited"]] == ["waiting"] * 3


def test_an_object_that_comes_late_and_one_that_goes(api: StubApi, client: Client) -> None:
    later(0.2, lambda: api.put(claim("a", "Bound")))
    Waiter(client, [target(client, claim("a", ""))], 10).run()
    api.put(claim("b", "Pending"))
    later(0.2, lambda: api.remove(api.path(claim("b", ""))))
    with pytest.raises(KontrolError, match="kontrol-system/b: it is not there"):
        Waiter(client, [target(client, claim("b", ""))], 1.2).run()


def test_a_failed_job_ends_the_wait_at_once_with_its_log(api: StubApi, client: Client) -> None:
    """B24."""
    pod = made("Pod", "j-1")
    pod["metadata"]["labels"] = {"job": "j"}
    pod["status"] = {
        "phase": "Failed",
        "containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}],
    }
    api.put(pod)
    api.logs[api.path(pod)] = "starting\nno such table: orders\n"
    api.put(job(active=1))
    failed = job(conditions=[{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}])
    later(0.2, lambda: api.put(failed))
    began = time.monotonic()
    with pytest.raises(KontrolError) as caught:
        Waiter(client, [target(client, job()), target(client, claim("never", ""))], 30).run()
    assert time.monotonic() - began < 5
    text = str(caught.value)
    assert "1 objects have failed (2 of 2 are not ready)" in text
    assert "Job.batch kontrol-system/j: BackoffLimitExceeded" in text
    assert "container main: ended with 3 Error" in text
    assert "| no such table: orders" in text


def test_a_pod_that_cannot_start_is_explained(api: StubApi, client: Client) -> None:
    """B09."""
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "db"}}}
    status = {"observedGeneration": 1, "readyReplicas": 2, "updatedReplicas": 1, "currentRevision": "a"}
    sts = made("StatefulSet", "db", "apps/v1", spec=spec, status={**status, "updateRevision": "b"})
    api.put(sts)
    pods = [made("Pod", f"db-{number}") for number in range(6)]
    for number, pod in enumerate(pods):
        pod["metadata"]["labels"] = {"app": "db"}
        waiting = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling "db:none"'}}
        pod["status"] = {
            "phase": "Pending",
            "containerStatuses": [{"name": "db", "state": waiting, "restartCount": 0}],
            "conditions": [{"type": "PodScheduled", "status": "False", "message": "no room"}],
        }
        if number == 0:
            pod["status"] = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        if number == 1:
            crashed = {"waiting": {"reason": "CrashLoopBackOff"}}
            last = {"terminated": {"exitCode": 1, "reason": "Error", "message": "boom"}}
            pod["status"]["containerStatuses"] = [
                {"name": "db", "state": crashed, "lastState": last, "restartCount": 4},
                {"name": "side", "state": {"running": {}}, "ready": False, "started": True},
                {"name": "well", "state": {"running": {}}, "ready": True, "started": True},
            ]
            api.logs[api.path(pod)] = "cannot open data"
        api.put(pod)
    event = made("Event", "e1", type="Warning", reason="FailedMount", message="volume missing ")
    event["involvedObject"] = {"kind": "Pod", "name": "db-1"}
    api.put(event)
    with pytest.raises(KontrolError) as caught:
        Waiter(client, [target(client, sts)], 0.6).run()
    text = str(caught.value)
    assert "1 of 3 pods are of the new version" in text
    assert 'container db: ImagePullBackOff: Back-off pulling "db:none"' in text
    assert "db: CrashLoopBackOff, before that ended with 1 Error: boom, 4 restarts" in text
    assert "container side: running and not ready" in text
    assert "| cannot open data" in text
    assert "event FailedMount: volume missing" in text
    assert "not scheduled: no room" in text
    assert "and 2 more pods" in text
    assert "db-0" not in text
    previous = [request for request in api.requests if request.query.get("previous") == "true"]
    assert len(previous) == 1


def test_reasons_that_cannot_be_read_do_no_harm(api: StubApi, client: Client) -> None:
    api.put(job(active=1))
    api.fail("GET", "/pods", 403, "Forbidden", "no pods", times=9)
    with pytest.raises(KontrolError, match=r"more could not be read: .*no pods"):
        Waiter(client, [target(client, job())], 0.4).run()


def test_an_expired_version_is_listed_anew(api: StubApi, client: Client) -> None:
    api.put(claim("a", "Pending"))
    api.fail("GET", "watch=1", 410, "Expired", times=2)
    after_watches(api, 2, lambda: api.put(claim("a", "Bound")))
    Waiter(client, [target(client, claim("a", ""))], 30).run()
    assert watches(api) >= 2


def test_a_watch_that_breaks_is_taken_up_again(api: StubApi, client: Client) -> None:
    api.put(claim("a", "Pending"))
    api.fail("GET", "watch=1", 0, drop=True, times=1)
    after_watches(api, 2, lambda: api.put(claim("a", "Bound")))
    Waiter(client, [target(client, claim("a", ""))], 30).run()
    assert watches(api) >= 2


def test_a_stream_that_ends_or_reports_an_error_goes_on(api: StubApi, client: Client) -> None:
    api.put(claim("a", "Pending"))

    def tell(event: Any) -> None:
        for _, _, events in list(api.watchers):
            events.put(event)

    later(0.2, lambda: tell({"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": "1"}}}))
    later(0.3, lambda: tell(None))
    later(0.6, lambda: tell({"type": "ERROR", "object": {"code": 410}}))
    later(1.0, lambda: api.put(claim("a", "Bound")))
    Waiter(client, [target(client, claim("a", ""))], 10).run()


def test_trouble_is_told_at_the_deadline(api: StubApi, client: Client) -> None:
    api.fail("GET", "persistentvolumeclaims", 500, "InternalError", "etcd is away", times=99)
    with pytest.raises(KontrolError, match=r"(?s)it is not there.*last trouble with the API server: .*etcd is away"):
        Waiter(client, [target(client, claim("a", ""))], 0.5).run()


def test_what_is_forbidden_ends_the_wait(api: StubApi, client: Client) -> None:
    api.fail("GET", "persistentvolumeclaims", 403, "Forbidden", "cannot list", times=99)
    began = time.monotonic()
    with pytest.raises(KontrolError, match="403 Forbidden: cannot list"):
        Waiter(client, [target(client, claim("a", ""))], 30).run()
    assert time.monotonic() - began < 5


def test_progress_says_what_and_how_long(api: StubApi, client: Client) -> None:
    lines: list[str] = []
    for name in "abcdef":
        api.put(claim(name, "Pending"))
    targets = [target(client, claim(name, "")) for name in "abcdef"]
    with pytest.raises(KontrolError):
        Waiter(client, targets, 1.5, lines.append, interval=0.3).run()
    assert lines[0].startswith(
        "Waiting for 6 of 6 objects, 1 s left: PersistentVolumeClaim kontrol-system/a: its phase"
    )
    assert lines[0].endswith("; and 2 more")


def test_a_field_of_any_object(api: StubApi, client: Client) -> None:
    obj = made("ConfigMap", "c", data={"state": "half"})
    api.put(obj)
    full = copy.deepcopy(obj)
    full["data"]["state"] = "whole"
    later(0.2, lambda: api.put(full))
    Waiter(client, [target(client, obj, "data.state", "whole"), target(client, obj)], 10).run()
