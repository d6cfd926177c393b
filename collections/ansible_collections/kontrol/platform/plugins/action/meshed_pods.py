# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Look into every pod of the mesh; documented in plugins/modules/meshed_pods.py."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ansible_collections.kontrol.platform.plugins.module_utils import (
    environments,
    listening,
    meshed,
    paths,
    pod_exec,
    process,
    verification,
)
from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.kube import session
from ansible_collections.kontrol.platform.plugins.module_utils.secrets import SecretStore

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client

Object = dict[str, Any]

NO_PROGRAM: Final = ("no such file or directory", "executable file not found", "not found in $PATH")
"""What a runtime says of a program that an image does not have (source: containerd with runc and crun)."""


def _tables(client: Client, pod: Object) -> str:
    """Return the kernel's tables of a pod, read in the first of its containers that has `cat`; they share them."""
    names = sorted((one["name"] for one in meshed.containers(pod)), key=lambda name: name != meshed.SIDECAR)
    return _first(client, pod, names, ["cat", *listening.TABLES])


def _first(client: Client, pod: Object, containers: list[str], argv: list[str]) -> str:
    meta = pod["metadata"]
    for name in containers[:-1]:
        try:
            return pod_exec.run(client.connection, meta["namespace"], meta["name"], name, argv)
        except pod_exec.ExecError:
            continue
    return pod_exec.run(client.connection, meta["namespace"], meta["name"], containers[-1], argv)


def _described(client: Client, services: list[Object], pod: Object) -> Object:
    near = [one for one in services if one["metadata"]["namespace"] == pod["metadata"]["namespace"]]
    return meshed.describe(pod, listening.ports(_tables(client, pod)), near)


def _environment(client: Client, values: Mapping[str, str], pod: Object) -> Object:
    """Return the check of one pod's environments, by its manifest and by its processes."""
    meta, found, read = pod["metadata"], [], 0
    every = meshed.containers(pod)
    for one in every:
        wrong = [*environments.from_manifest(one), *environments.literals(one, values)]
        if one["name"] != meshed.SIDECAR:
            held, could = _processes(client, meta, one["name"], values)
            wrong += held
            read += could
        found += [f"container '{one['name']}': {what}" for what in wrong]
    return environments.check(f"{meta['namespace']}/{meta['name']}", found, read, len(every) - 1)


def _processes(client: Client, meta: Object, container: str, values: Mapping[str, str]) -> tuple[list[str], bool]:
    """Return which secrets the processes of a container hold, and whether they could be looked at."""
    try:
        text = pod_exec.run(client.connection, meta["namespace"], meta["name"], container, [*environments.READ])
    except pod_exec.ExecError as error:
        if any(words in str(error) for words in NO_PROGRAM):
            return [], False
        return [f"its processes cannot be looked at: {error}"], False
    return [f"a process holds secret '{name}'" for name in environments.held(text, values)], True


class ActionModule(KontrolAction):
    """Lists all pods and looks into those of the mesh; a part of verify, so check mode skips it."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "kubeconfig": session.KUBECONFIG,
        "region": {"type": "str", "required": True},
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Read all pods at once."""
        del task_vars
        if self.check_mode:
            return {"changed": False, "skipped": True, "pods": [], "checks": [], "msg": "Nothing is read in check mode"}
        values = SecretStore(paths.region_state(args["region"]), process.run).values()
        with session.connected(args["kubeconfig"]) as client:
            everyone = client.list("/api/v1/pods")
            services = client.list("/api/v1/services")
            pods = [pod for pod in everyone if meshed.is_meshed(pod)]
            described = list(client.map(partial(_described, client, services), pods))
            checks = list(client.map(partial(_environment, client, values), pods))
        return {"changed": False, "pods": described, "checks": verification.old_sidecar_checks(everyone) + checks}
