"""What there is of a region: its state folder, the driver and the cluster, each told even without the others."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ansible_collections.kontrol.platform.plugins.module_utils import (
    access,
    drill,
    drill_view,
    identity,
    lease,
    register,
    run_record,
    run_report,
    state,
)
from ansible_collections.kontrol.platform.plugins.module_utils.api import Api
from ansible_collections.kontrol.platform.plugins.module_utils.backup_bucket import kept
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.base import Condition, load_record
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.proof import Proof
from ansible_collections.kontrol.platform.plugins.module_utils.warden import lock_holder

if TYPE_CHECKING:
    from ansible_collections.kontrol.platform.plugins.module_utils.region_run import RegionRun

INVENTORIES: Final = f"/api/v1/namespaces/{identity.NAMESPACE}/configmaps"
INVENTORY_PREFIX: Final = "kontrol-inventory-"
QUICK: Final = 5.0

Api_or_reason = Api | str


def read(
    region: RegionRun, image: str, components: list[str], *, bucket: str = "", write: bool = False
) -> dict[str, str]:
    """Return one line for each part of the region, in the order in which they are made.

    Args:
        region: The region; its private folder takes a kubeconfig while this reads.
        image: Image of the backup store's server.
        components: The components that the region declares.
        bucket: Bucket of the backups, "" when nobody asks.
        write: Whether the report of a run that died may be made now, beside its journal.
    """
    api = _safely(lambda: _open(region))
    parts: dict[str, Callable[[], str]] = {
        "identity": lambda: _identity(region),
        "registered": lambda: register.told(region.folder),
        "secret store": lambda: _secrets(region),
        "backup store": lambda: _backups(region, image),
        **({"backup bucket": lambda: f"{bucket} {kept(region.backup_bucket(bucket))}"} if bucket else {}),
        "cluster": lambda: _cluster(region, api),
        "writer": lambda: _writer(region, api),
        **{name: _component(api, name) for name in components},
        "drill": lambda: _drill(region),
        "last run": lambda: _last_run(region),
        "its report": lambda: _report(region, write=write),
        "runs kept in": lambda: str(region.folder / "runs"),
    }
    return {name: str(_safely(part)) for name, part in parts.items()}


def _safely(part: Callable[[], Api_or_reason]) -> Api_or_reason:
    """Return what a part says, or why it cannot say anything."""
    try:
        return part()
    except (KontrolError, OSError) as error:
        return str(error)


def _open(region: RegionRun) -> Api:
    """Return the proven cluster; the proof is the same as before a write."""
    way, _objects = Proof(region).prove(write=False)
    path = region.private / "kubeconfig"
    state.write_text(path, access.kubeconfig(way, region.region))
    return Api.open(path, QUICK)


def _identity(region: RegionRun) -> str:
    own = identity.load(region.folder)
    return f"{own.id}, made {own.created_at} by run {own.created_by}" if own else "not made yet"


def _secrets(region: RegionRun) -> str:
    store = region.secret_store()
    return f"{len(store.names())} secrets in {region.folder}" if store.exists() else "not made yet"


def _backups(region: RegionRun, image: str) -> str:
    store = region.backup_store(image)
    if address := store.answering():
        return f"answers on {address}, for pods {store.endpoint}"
    found = region.docker.container(store.name)
    there = str(found.get("State", {}).get("Status")) if found else "not there"
    return f"container {store.name} is {there}"


def _cluster(region: RegionRun, api: Api_or_reason) -> str:
    driver, record = region.driver(), load_record(region.folder)
    condition = driver.condition()
    made = f", made {record.at} by run {record.run}" if record and condition is not Condition.ABSENT else ""
    if isinstance(api, str):
        return f"{driver.name} is {condition.value}{made}" + (f"; {api}" if condition is Condition.RUNNING else "")
    return f"{driver.name} is {condition.value}{made}, API {api.server}, identity proven"


def _writer(region: RegionRun, api: Api_or_reason) -> str:
    """Return who writes: by the lock on this machine, by the Lease on another one."""
    if held := lock_holder(region.lock_file):
        other = lease.Holder.from_json(held)
        return other.text() if other else "a run that just starts"
    found = None if isinstance(api, str) else api.get(f"{lease.PATH}/{lease.NAME}")
    if found and (who := lease.describe(found)):
        return (
            f"Lease held by {who}, renewed {found['spec'].get('renewTime')}; it does not hold the lock of this machine"
        )
    return "nobody"


def _component(api: Api_or_reason, name: str) -> Callable[[], str]:
    def part() -> str:
        if isinstance(api, str):
            return "cannot be seen without the cluster"
        found = api.get(f"{INVENTORIES}/{INVENTORY_PREFIX}{name}")
        return f"deployed, {_count(found)} objects" if found else "not deployed"

    return part


def _count(inventory: dict[str, object]) -> str:
    """Return how many objects an inventory lists: one a line, or one a key."""
    data = inventory.get("data")
    if not isinstance(data, dict):
        return "0"
    return str(sum(len([line for line in str(text).splitlines() if line.strip()]) for text in data.values()))


def _drill(region: RegionRun) -> str:
    """Return what a drill that has not ended has left, else how the last one ended."""
    left = state.read_json(region.folder / drill.STATE_FILE)
    if left is not None and not _writes(region, str(left.get("run"))):
        return drill.told(left)
    if left is not None:
        return f"drill {left['run']} is going on, in phase {left['phase']}"
    last = (state.read_lines(region.folder / drill.HISTORY) or [{}])[-1]
    return drill_view.short(last) if last else "none yet"


def _last_run(region: RegionRun) -> str:
    folder = run_record.latest(region.folder / "runs")
    return run_record.story(folder, writing=_writes(region, folder.name)) if folder else "none"


def _writes(region: RegionRun, run: str) -> bool:
    held = lease.Holder.from_json(lock_holder(region.lock_file))
    return held is not None and held.run == run


def _report(region: RegionRun, *, write: bool) -> str:
    """Return where the report of the last run is; one that was killed could not write its own."""
    folder = run_record.latest(region.folder / "runs")
    if folder is None:
        return "none"
    path = folder / run_report.HTML
    if path.is_file():
        return str(path)
    if _writes(region, folder.name):
        return "written when it ends"
    return str(run_report.page(folder)) if write else "none; status without --check makes it from the journal"
