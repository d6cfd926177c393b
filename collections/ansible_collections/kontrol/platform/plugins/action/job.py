# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Run Jobs of the tools image in the mesh; documented in plugins/modules/job.py."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.checks import check
from ansible_collections.kontrol.platform.plugins.module_utils.jobs import (
    USER,
    JobError,
    JobResult,
    JobRunner,
    JobSpec,
)
from ansible_collections.kontrol.platform.plugins.module_utils.kube import session

JOB_OPTIONS: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "service_account": {"type": "str", "required": True},
    "image": {"type": "str", "required": True},
    "steps": {"type": "list", "elements": "dict", "required": True},
    "secrets": {"type": "dict", "default": {}},
    "config_maps": {"type": "dict", "default": {}},
    "mesh": {"type": "bool", "default": True},
    "timeout": {"type": "float", "default": 120.0},
    "start_timeout": {"type": "float", "default": 60.0},
    "until_end": {"type": "bool", "default": False},
    "user": {"type": "int", "default": USER},
    "volumes": {"type": "list", "elements": "dict", "default": []},
    "before": {"type": "list", "elements": "dict", "default": []},
    "beside": {"type": "list", "elements": "dict", "default": []},
    "token": {"type": "bool", "default": False},
    "near": {"type": "dict", "default": {}},
    "retries": {"type": "int", "default": 0},
}


def run_jobs(path: str, component: str, jobs: list[dict[str, Any]]) -> list[JobResult]:
    """Run Jobs at once through a kubeconfig and return their results in order; a failed one has an error."""
    with session.connected(path) as client:
        return JobRunner(client).run([JobSpec(component=component, **job) for job in jobs])


def failed_checks(results: list[JobResult]) -> list[dict[str, Any]]:
    """Return a failed check for every Job without a result."""
    return [check("Job ran", result.name, "a result", result.error, ok=False) for result in results if result.error]


class ActionModule(KontrolAction):
    """Runs all Jobs of the task at once and returns their results by name."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "kubeconfig": session.KUBECONFIG,
        "component": {"type": "str", "default": ""},
        "jobs": {"type": "list", "elements": "dict", "required": True, "options": JOB_OPTIONS},
        "required": {"type": "bool", "default": True},
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Run the Jobs; in check mode none is made and the task is skipped."""
        del task_vars
        if self.check_mode:
            nothing: dict[str, Any] = {"jobs": {}, "answers": {}, "ended": {}}
            return {"changed": False, "skipped": True, "msg": "No Job is made in check mode", **nothing}
        found = run_jobs(args["kubeconfig"], args["component"], args["jobs"])
        result = {
            "changed": False,
            "jobs": {one.name: {"results": one.results, "seconds": one.seconds} for one in found},
            "answers": {one.name: one.results for one in found},
            "ended": {one.name: one.ended for one in found if one.ended},
        }
        failures = [one.error for one in found if one.error]
        if failures and args["required"]:
            raise JobError("; ".join(failures), result | {"kontrol_checks": failed_checks(found)})
        return result | ({"kontrol_checks": failed_checks(found)} if failures else {})
