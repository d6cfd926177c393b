# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Bring the schema of a database up to date by a Job; documented in plugins/modules/schema.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ansible_collections.kontrol.platform.plugins.action.job import JOB_OPTIONS
from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.jobs import JobError, JobRunner, JobSpec
from ansible_collections.kontrol.platform.plugins.module_utils.kube import guard, session
from ansible_collections.kontrol.platform.plugins.module_utils.schema_record import Record, SchemaPlan

if TYPE_CHECKING:
    from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client


class ActionModule(KontrolAction):
    """Compares schema files with the record of what was applied, and applies the missing ones."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "kubeconfig": session.KUBECONFIG,
        "component": {"type": "str", "required": True},
        "namespace": {"type": "str", "required": True},
        "claim": {"type": "str", "required": True},
        "folder": {"type": "str", "required": True},
        "job": {"type": "dict", "required": True, "options": JOB_OPTIONS},
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Plan, and outside check mode run the Job and keep the record."""
        del task_vars
        if self.check_mode and not args["kubeconfig"]:
            return self._result(SchemaPlan.of_folder(args["component"], args["folder"], Record()), "rendered")
        with session.connected(args["kubeconfig"]) as client:
            return self._bring_up_to_date(client, args)

    def _bring_up_to_date(self, client: Client, args: dict[str, Any]) -> dict[str, Any]:
        record = Record.read(client, args["component"], args["namespace"], args["claim"])
        plan = SchemaPlan.of_folder(args["component"], args["folder"], record)
        if plan.missing and not self.check_mode:
            job = JobSpec(component=args["component"], **args["job"])
            (result,) = JobRunner(client).run([job])
            if result.error:
                raise JobError(result.error)
            guard.check(client)
            Record.read(client, args["component"], args["namespace"], args["claim"]).write(client, plan.files)
        return self._result(plan, "server" if record.claim or not self.check_mode else "rendered")

    @staticmethod
    def _result(plan: SchemaPlan, known: str) -> dict[str, Any]:
        objects = [{"object": name, "verb": verb, "known": known} for name, verb in plan.objects()]
        return {"changed": bool(plan.missing), "kontrol_objects": objects, "applied": plan.missing}
