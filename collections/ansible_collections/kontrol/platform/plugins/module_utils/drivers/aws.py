"""The driver `aws`, as far as it goes: state bucket, foundation and network of a region by terraform; no cluster yet.

Everything that is there is in a state of terraform, in a bucket that all regions of an account and location share.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NoReturn

from ansible_collections.kontrol.platform.plugins.module_utils import terraform_plan
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.base import (
    ClusterSpec,
    Condition,
    DriverError,
    Outputs,
)
from ansible_collections.kontrol.platform.plugins.module_utils.terraform import (
    LOCK_TIMEOUT,
    STATES,
    STORE,
    Setup,
    StoreMissingError,
    Terraform,
    state_key,
    work_dir,
)
from ansible_collections.kontrol.platform.plugins.module_utils.terraform import Outputs as StackOutputs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ansible_collections.kontrol.platform.plugins.module_utils.kube.planned import Seal
    from ansible_collections.kontrol.platform.plugins.module_utils.process import Runner
    from ansible_collections.kontrol.platform.plugins.module_utils.terraform_plan import Plan

FOUNDATION: Final = "foundation"
CLUSTER: Final = "cluster"
BOOTSTRAP: Final = "bootstrap"
TAG: Final = "kontrol:region"
KEPT: Final = ("aws_s3_bucket", "aws_kms_key")
"""Types that hold what cannot be made again; no apply deletes or replaces them."""
EVERYTHING: Final = ("aws_*",)
NO_CLUSTER: Final = (
    'Driver "aws" makes no cluster yet: of the region "{region}" it offers the foundation (key and backup bucket) and '
    "the network, and nothing was touched; declare `region.driver: kind` for a cluster"
)
NO_FILES: Final = {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
"""The caller's own profiles do not count; what the driver is given does."""


@dataclass
class AwsDriver:
    """Foundation and network of one region in one account of AWS.

    Attributes:
        region: Name of the region.
        location: Region of AWS.
        account: Number of the account; in another one nothing is touched.
        backup_bucket: Name of the bucket for backups.
        network_cidr: Addresses of the network.
        program: Absolute path of terraform or tofu.
        source: Folder `terraform` of the project.
        scratch: A private folder of this run.
        env: Credentials, as variables AWS_* of the environment.
        protected: Whether nothing of the region may be deleted or replaced.
        check: Whether only to look.
        plugin_dir: Folder of providers, so that none is downloaded.
        runner: Runs terraform; by default gently.
        lock_timeout: Seconds to wait while another run holds a state.
        say: Shows a line of progress.
    """

    region: str
    location: str
    account: str
    backup_bucket: str
    network_cidr: str
    program: Path
    source: Path
    scratch: Path
    env: Mapping[str, str] = field(repr=False)
    protected: bool = True
    check: bool = False
    plugin_dir: Path | None = None
    runner: Runner | None = None
    lock_timeout: float = LOCK_TIMEOUT
    say: Callable[[str], None] = lambda _line: None

    @property
    def name(self) -> str:
        """Name of the cluster."""
        return f"kontrol-{self.region}"

    @property
    def store(self) -> str:
        """Name of the bucket of all states; names are unique among all accounts, so the account is part of it."""
        return f"kontrol-states-{self.account}-{self.location}"

    # What every driver offers.

    def read(self) -> Outputs | None:
        """Return None: there is no cluster to read."""
        return None

    def condition(self) -> Condition:
        """Return "half made" where anything of the network is there, since a cluster is not made yet."""
        return Condition.HALF_MADE if self.hits() else Condition.ABSENT

    def plan(self, spec: ClusterSpec, *, adopt: bool = False) -> list[tuple[str, str]]:
        """Refuse what `create` would refuse."""
        del spec, adopt
        self._refuse_cluster()

    def replaced(self, spec: ClusterSpec) -> list[dict[str, Any]]:
        """Return what of the network that is there differs and cannot be changed in place: path, before, after."""
        del spec
        network = self._opened(CLUSTER)
        there = network.outputs() if network else {}
        before = there["network_cidr"].value if "network_cidr" in there else self.network_cidr
        changed = before != self.network_cidr
        return [{"path": "network_cidr", "before": before, "after": self.network_cidr}] if changed else []

    def create(self, spec: ClusterSpec, run: str, *, adopt: bool = False) -> Outputs:
        """Refuse to make a cluster."""
        del spec, run, adopt
        self._refuse_cluster()

    def complete(self, outputs: Outputs, run: str, namespace_uid: str) -> None:
        """Refuse: no creation was begun."""
        del outputs, run, namespace_uid
        self._refuse_cluster()

    def delete(self) -> bool:
        """Delete the network; return whether there was something."""
        self._refuse_protected()
        return self._destroy(CLUSTER)

    def kubeconfig(self) -> str:
        """Refuse: there is no cluster to reach."""
        self._refuse_cluster()

    # What this one offers.

    def hits(self) -> list[str]:
        """Return the lines that tell what `delete` removes."""
        network = self._opened(CLUSTER)
        return network.resources() if network else []

    def foundation(self) -> StackOutputs:
        """Make the foundation true, first of all the bucket that its state is kept in."""
        self._make_store()
        return self._apply(FOUNDATION)

    def network(self) -> StackOutputs:
        """Make the network of the cluster true; the foundation is made before it."""
        return self._apply(CLUSTER)

    def delete_foundation(self, remove_foundation: str) -> bool:
        """Delete key and backup bucket; a bucket that is not empty stays. The bucket of states is not the region's.

        Args:
            remove_foundation: Name of the region, as a person has given it.
        """
        if remove_foundation != self.region:
            raise DriverError(
                f'Foundation of region "{self.region}" holds its backups and is kept; to remove it give '
                f"`-e remove_foundation={self.region}`"
            )
        self._refuse_protected()
        if left := self.hits():
            raise DriverError(
                f'Foundation of region "{self.region}" is in use, {len(left)} resources of its network are there; '
                "delete the network first"
            )
        return self._destroy(FOUNDATION)

    def look(self, name: str, seal: Seal) -> list[dict[str, Any]]:
        """Return what `foundation` or `network` would do, as the tasks of a run tell it; refuse what they would."""
        stack = self._opened(name)
        if stack is None:
            missing = (f"Bucket {self.store}", f"Stack {name}")
            return [{"object": one, "verb": "create", "known": "unknown"} for one in missing]
        return terraform_plan.verdicts(self._planned(stack, self._kept()), seal)

    def clear_lock(self, lock_id: str) -> str:
        """Take away the lock with this id and no other; return whose it was.

        Raises:
            KontrolError: No state here is held by it, or its run is evidently alive.
        """
        others = []
        for name in reversed(STATES):
            stack = self._opened(name)
            held = stack.lock() if stack else None
            if stack and held and held.id == lock_id:
                stack.unlock(lock_id)
                return held.told()
            others += [f'state "{name}" is locked by {held.told()}'] if held else []
        found = "; ".join(others) or "no state is locked"
        raise DriverError(f'Lock "{lock_id}" holds no state of region "{self.region}": {found}')

    def _refuse_cluster(self) -> NoReturn:
        raise DriverError(NO_CLUSTER.format(region=self.region))

    def _refuse_protected(self) -> None:
        if self.protected:
            raise DriverError(
                f'Region "{self.region}" is protected and nothing of it is deleted; set `region.protected: false` first'
            )

    def _kept(self) -> tuple[str, ...]:
        return EVERYTHING if self.protected else KEPT

    def _make_store(self) -> None:
        """Make the bucket of all states, if it is not there, and its settings true.

        A bare bucket comes first, by a state that is thrown away; then the stack that takes it in has a place for its
        own. A kill in between leaves a bucket, which the next run finds.
        """
        if self._opened(STORE) is None:
            self.say(f"Bucket {self.store}: made for the states of all regions in {self.location}")
            bare = self._stack(BOOTSTRAP)
            bare.init()
            bare.apply(bare.plan())
            bare.clean()
        self._apply(STORE)

    def _apply(self, name: str) -> StackOutputs:
        stack = self._stack(name)
        stack.init()
        stack.apply(self._planned(stack, self._kept()), lock_timeout=self.lock_timeout)
        outputs = stack.outputs()
        stack.clean()
        return outputs

    def _planned(self, stack: Terraform, kept: tuple[str, ...]) -> Plan:
        plan = stack.plan(lock_timeout=self.lock_timeout)
        self._judge(plan, kept)
        return plan

    def _destroy(self, name: str) -> bool:
        stack = self._opened(name)
        if stack is None:
            return False
        done = stack.destroy(lambda plan: self._judge(plan, ()), lock_timeout=self.lock_timeout)
        stack.clean()
        return bool(done.losses())

    def _judge(self, plan: Plan, kept: tuple[str, ...]) -> None:
        """Refuse a plan that hits what is protected, or what belongs to another region."""
        problems = terraform_plan.protected_problems(plan, kept)
        problems += terraform_plan.foreign_problems(plan, TAG, self.region)
        if problems:
            raise DriverError(
                f"{'; '.join(problems)}; nothing was touched, put back what was changed in the region or its account"
            )

    def _opened(self, name: str) -> Terraform | None:
        """Return a stack that is ready to be asked, None where not even the bucket of its state is there."""
        stack = self._stack(name)
        try:
            stack.init()
        except StoreMissingError:
            return None
        return stack

    def _stack(self, name: str) -> Terraform:
        setup = Setup(
            backend={} if name == BOOTSTRAP else self._backend(name),
            variables={"account": self.account, "location": self.location, **self._variables(name)},
            env={**NO_FILES, "AWS_REGION": self.location, **self.env},
            plugin_dir=self.plugin_dir,
            root=self.source,
        )
        work = self.scratch / BOOTSTRAP if name == BOOTSTRAP else work_dir(self.region, name)
        return Terraform(
            self.program,
            self.source / "stacks" / "aws" / name,
            work,
            self.runner,
            setup=setup,
            check=self.check,
            on_progress=self.say,
        )

    def _backend(self, name: str) -> dict[str, Any]:
        return {
            "bucket": self.store,
            "key": state_key(self.region, name),
            "region": self.location,
            "encrypt": True,
            "use_lockfile": True,
            "allowed_account_ids": [self.account],
        }

    def _variables(self, name: str) -> dict[str, Any]:
        own = {
            FOUNDATION: {"region": self.region, "backup_bucket": self.backup_bucket},
            CLUSTER: {"region": self.region, "network_cidr": self.network_cidr},
        }
        return own.get(name, {"bucket": self.store})
