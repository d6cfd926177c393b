"""A version or a spec value changes: it is rolled in supported steps, or refused; the way back is the same command.

Other versions come from a copy of the project with another artifacts.yml. The older ones are the lab's group `upgrade`
(`python -m lab up upgrade`); versions that do not exist at all come from a copy of lab.json that claims to have them.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.e2e import harness
from tests.e2e.conftest import Say
from tests.e2e.harness import ROOT, Region, Run
from tests.e2e.test_recovery import query

pytestmark = pytest.mark.upgrade

PARTS = ("ansible.cfg", "artifacts.yml", "collections", "playbooks", "profiles", "roles", "schemas")
CLICKHOUSE = ("26.9-stand-in", "26.7-stand-in")
ISTIO = ("1.31.0-kontrol", "1.31.0-alpha-kontrol")
SERVER = "docker.io/clickhouse/clickhouse-server"
NEEDED = (f"{SERVER}:{CLICKHOUSE[1]}", f"docker.io/istio/pilot:{ISTIO[1]}", f"docker.io/istio/proxyv2:{ISTIO[1]}")
SET = "StatefulSet.apps clickhouse/clickhouse"
DATABASE = "clickhouse/clickhouse-0"
CLAIM = "data-clickhouse-0"
ROWS = "1000\t499500"
# One line per attempt to talk to the database without the mesh: its status, or "refused".
PLAIN = """
import time, urllib.request
while True:
    try:
        print(urllib.request.urlopen("http://clickhouse-pods.clickhouse:8123/ping", timeout=2).status, flush=True)
    except OSError:
        print("refused", flush=True)
    time.sleep(0.3)
"""


@dataclass(frozen=True)
class Upgrades:
    """The region, and copies of the project and of its spec to run on it."""

    region: Region
    folder: Path

    def project(self, *changes: tuple[str, str]) -> Path:
        """Return a copy of the project whose artifacts.yml has other versions."""
        root = self.folder / "-".join(new for _old, new in changes)
        for part in () if root.exists() else PARTS:
            source, target = ROOT / part, root / part
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
        text = (ROOT / "artifacts.yml").read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        (root / "artifacts.yml").write_text(text, encoding="utf-8")
        return root

    def spec(self, clickhouse: str) -> Path:
        """Return an inventory of this region with other options of ClickHouse."""
        text = (harness.INVENTORY / "region.yml").read_text(encoding="utf-8")
        assert "clickhouse: {}" in text
        folder = self.folder / clickhouse.translate(str.maketrans("", "", "{}: ")) / harness.INVENTORY.name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "region.yml").write_text(text.replace("clickhouse: {}", f"clickhouse: {clickhouse}"), "utf-8")
        return folder

    def claiming(self, image: str, *changes: tuple[str, str]) -> Path:
        """Return a copy of the project that takes the lab to hold an image, which no registry has."""
        root = self.project(*changes)
        lab = {**self.region.lab, "images": {**self.region.lab["images"], image: f"sha256:{'0' * 64}"}}
        (root / "lab.json").write_text(json.dumps(lab), encoding="utf-8")
        paths = root / "collections/ansible_collections/kontrol/platform/plugins/module_utils/paths.py"
        text, real = paths.read_text(encoding="utf-8"), 'return state_root() / "lab.json"'
        assert real in text
        paths.write_text(text.replace(real, 'return project_root() / "lab.json"'), encoding="utf-8")
        return root

    def images(self, namespace: str, pod: str) -> dict[str, str]:
        """Return the image of each container of a pod, sidecars too."""
        found = json.loads(self.region.kubectl("get", "pod", pod, "--namespace", namespace, "-o", "json"))
        spec = found["spec"]
        return {one["name"]: one["image"] for one in spec["containers"] + spec.get("initContainers", [])}

    def written(self) -> dict[str, str]:
        """Return the version of each object of the platform: it moves with any write."""
        kinds = "statefulsets,deployments,configmaps,secrets,services,persistentvolumeclaims,peerauthentications"
        found = self.region.items(kinds, "--selector", "app.kubernetes.io/managed-by=kontrol")
        return {
            f"{one['kind']} {one['metadata'].get('namespace')}/{one['metadata']['name']}": one["metadata"]["generation"]
            if "generation" in one["metadata"]
            else one["metadata"]["resourceVersion"]
            for one in found
        }


@pytest.fixture(scope="module")
def upgrades(region: Region, tmp_path_factory: pytest.TempPathFactory) -> Upgrades:
    """The region as it is declared now, with rows in the database."""
    missing = [image for image in NEEDED if image not in region.lab["images"]]
    if missing:
        pytest.skip(f"The lab has no {', '.join(missing)}: python -m lab up upgrade")
    query(region, "CREATE TABLE IF NOT EXISTS default.upgraded (n UInt32) ENGINE = MergeTree ORDER BY n")
    query(region, "TRUNCATE TABLE default.upgraded")
    query(region, "INSERT INTO default.upgraded SELECT number FROM numbers(1000)")
    return Upgrades(region, tmp_path_factory.mktemp("upgrades"))


def rows(region: Region) -> str:
    """Return count and sum of the rows that must survive."""
    return query(region, "SELECT count(), sum(n) FROM default.upgraded")


def unchanged(upgrades: Upgrades, work: Callable[[], Run]) -> Run:
    """Do something that must leave every object and every pod as it is."""
    before, pods = upgrades.written(), upgrades.region.pods()
    done = work()
    assert upgrades.written() == before
    assert upgrades.region.pods() == pods
    return done


@contextmanager
def plain_client(region: Region) -> Iterator[Callable[[], list[str]]]:
    """A client outside the mesh that tries all the time; what it got so far is what the function returns."""
    image = json.loads(region.kubectl("get", "deployment", "target", "--namespace", "kontrol-verify", "-o", "json"))
    container = {
        "name": "plain",
        "image": image["spec"]["template"]["spec"]["containers"][0]["image"],
        "command": ["python3", "-c", PLAIN],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    security = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "plain", "namespace": "kontrol-outside"},
        "spec": {"containers": [container], "securityContext": security, "terminationGracePeriodSeconds": 0},
    }
    where = ("pod/plain", "--namespace", "kontrol-outside")
    region.kubectl("apply", "-f", "-", text=json.dumps(pod))
    try:
        region.kubectl("wait", *where, "--for=condition=Ready", "--timeout=60s")
        yield lambda: region.kubectl("logs", *where).split()
    finally:
        region.kubectl("delete", *where, "--ignore-not-found")


def peer_authentications(region: Region) -> dict[str, tuple[str, int, str]]:
    """UID, generation and mode of each policy: a change in between cannot hide, a generation only grows."""
    return {
        f"{one['metadata']['namespace']}/{one['metadata']['name']}": (
            one["metadata"]["uid"],
            one["metadata"]["generation"],
            one["spec"]["mtls"]["mode"],
        )
        for one in region.items("peerauthentications")
    }


def test_clickhouse_goes_back_and_forth_with_its_rows(upgrades: Upgrades, say: Say) -> None:
    region, older = upgrades.region, upgrades.project(CLICKHOUSE)
    back = region.run("bootstrap", root=older).green()
    assert back.actions == {(SET, "update")}
    assert CLICKHOUSE[1] in upgrades.images("clickhouse", "clickhouse-0")["clickhouse"]
    assert rows(region) == ROWS
    assert region.run("bootstrap", root=older).green().changed == 0
    forth = region.run("bootstrap").green()
    assert forth.actions == {(SET, "update")}
    assert CLICKHOUSE[0] in upgrades.images("clickhouse", "clickhouse-0")["clickhouse"]
    assert rows(region) == ROWS
    say(f"ClickHouse {CLICKHOUSE[0]} to {CLICKHOUSE[1]}: {back.seconds:.0f} s, and back: {forth.seconds:.0f} s")


def test_a_new_istio_rolls_the_sidecars_and_strict_is_never_off(upgrades: Upgrades, say: Say) -> None:
    region, older = upgrades.region, upgrades.project(ISTIO)
    policies = peer_authentications(region)
    assert {mode for _uid, _generation, mode in policies.values()} == {"STRICT"}
    with plain_client(region) as heard:
        for root, version in ((older, ISTIO[1]), (ROOT, ISTIO[0])):
            attempts = len(heard())
            done = region.run("bootstrap", root=root).green()
            assert version in upgrades.images("clickhouse", "clickhouse-0")["istio-proxy"]
            assert len(heard()) - attempts > done.seconds / 4  # it did try, all the time
            say(f"Istio to {version} with all sidecars: {done.seconds:.0f} s")
        assert set(heard()) == {"refused"}
    assert peer_authentications(region) == policies
    assert rows(region) == ROWS
    assert region.run("bootstrap").green().changed == 0


def test_more_memory_rolls_the_pod_once(upgrades: Upgrades, say: Say) -> None:
    region, larger = upgrades.region, upgrades.spec("{memory: 2200Mi}")
    before = region.pods()
    done = region.run("bootstrap", inventory=larger).green()
    assert done.actions == {(SET, "update")}
    after = region.pods()
    assert {name for name in before if after.get(name) != before[name]} == {DATABASE}
    assert rows(region) == ROWS
    again = region.run("bootstrap", inventory=larger).green()
    assert (again.changed, region.pods()) == (0, after)
    region.run("bootstrap").green()
    say(f"A change of memory: {done.seconds:.0f} s; nothing to do: {again.seconds:.0f} s")


def test_a_jump_that_is_too_far_is_refused_and_nothing_is_written(upgrades: Upgrades) -> None:
    root = upgrades.claiming(f"{SERVER}:28.1-stand-in", (CLICKHOUSE[0], "28.1-stand-in"))
    for arguments in ((), ("--check",)):
        refused = unchanged(upgrades, partial(upgrades.region.run, "bootstrap", *arguments, root=root))
        assert refused.rc != 0
        assert f"Version '28.1-stand-in' is too far from '{CLICKHOUSE[0]}', which runs" in refused.stdout
        assert refused.actions == set()


def test_a_volume_that_cannot_grow_is_refused_with_the_way_out(upgrades: Upgrades) -> None:
    larger = upgrades.spec("{storage: 900Gi}")
    for arguments in ((), ("--check",)):
        refused = unchanged(upgrades, partial(upgrades.region.run, "bootstrap", *arguments, inventory=larger))
        assert refused.rc != 0
        assert "cannot grow to '900Gi'" in refused.stdout
        assert "make a backup" in refused.stdout
        assert refused.actions == set()


def test_a_roll_that_cannot_start_is_got_out_of_by_the_old_version(upgrades: Upgrades, say: Say) -> None:
    region, name = upgrades.region, "26.8-missing"
    root = upgrades.claiming(f"{SERVER}:{name}", (CLICKHOUSE[0], name))
    broken = region.run("bootstrap", root=root, inventory=upgrades.spec("{wait_timeout: 30}"))
    assert broken.rc != 0
    assert "Not ready after 30 s" in broken.stdout
    assert name in upgrades.images("clickhouse", "clickhouse-0")["clickhouse"]
    start = time.monotonic()
    region.run("bootstrap").green()
    assert rows(region) == ROWS
    assert region.run("bootstrap").green().changed == 0
    say(f"Out of a broken roll: {time.monotonic() - start:.0f} s with the run that has nothing to do")


def allow_growth(region: Region, *, allowed: bool) -> None:
    """Set whether the cluster's storage class lets volumes grow."""
    (name,) = (one["metadata"]["name"] for one in region.items("storageclasses"))
    patch = json.dumps({"allowVolumeExpansion": allowed})
    region.kubectl("patch", "storageclass", name, "--type", "merge", "--patch", patch)


def claimed(region: Region) -> str:
    """Return the size that the database's volume claim asks for."""
    return region.kubectl("get", "pvc", CLAIM, "-n", "clickhouse", "-o", "jsonpath={.spec.resources.requests.storage}")


def test_a_volume_grows_under_a_pod_that_goes_on(upgrades: Upgrades, say: Say) -> None:
    """What the provisioner then does is not seen on kind: its volumes are folders without a size."""
    region, larger = upgrades.region, upgrades.spec("{storage: 30Gi}")
    allow_growth(region, allowed=True)
    try:
        pods = region.pods()
        check = region.run("bootstrap", "--check", inventory=larger).green()
        assert check.actions == {(f"PersistentVolumeClaim clickhouse/{CLAIM}", "update"), (SET, "create")}
        grown = region.run("bootstrap", inventory=larger).green()
        assert grown.actions == check.actions
        assert (claimed(region), region.pods(), rows(region)) == ("30Gi", pods, ROWS)
        assert region.run("bootstrap", inventory=larger).green().changed == 0
        smaller = unchanged(upgrades, partial(region.run, "bootstrap"))
        assert smaller.rc != 0
        assert "a volume cannot be made smaller" in smaller.stdout
    finally:
        allow_growth(region, allowed=False)
        with_backup = region.run("backup", inventory=larger)
        for thing in ("statefulset/clickhouse", f"pvc/{CLAIM}"):  # the way out, as the runbook has it
            region.kubectl("delete", thing, "--namespace", "clickhouse", "--ignore-not-found")
    region.run("bootstrap").green()
    with_backup.green()
    region.run("restore").green()
    assert claimed(region) != "30Gi"
    say(f"A larger volume: {grown.seconds:.0f} s")


def test_no_stateful_set_waits_for_a_pod_that_cannot_start() -> None:
    """With OrderedReady a pod that never gets ready is never replaced, not even by the old version."""
    found = [path for path in ROOT.glob("roles/*/templates/*.j2") if "kind: StatefulSet" in path.read_text("utf-8")]
    assert found
    assert [path for path in found if "podManagementPolicy: Parallel" not in path.read_text("utf-8")] == []
