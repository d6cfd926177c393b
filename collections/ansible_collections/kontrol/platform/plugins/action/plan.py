# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make the plan of what was looked at, and hold it against one that was reviewed; see the module of the same name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from ansible_collections.kontrol.platform.plugins.module_utils import paths, plan, plan_view, state
from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError


class ActionModule(KontrolAction):
    """The plan of a region."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "region": {"type": "str", "required": True},
        "private": {"type": "str", "required": True},
        "protected": {"type": "bool", "required": True},
        "reviewed": {"type": "str", "default": ""},
        "failure": {"type": "str", "default": ""},
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Write and show the plan; with a reviewed one, fail unless this one is covered by it."""
        del task_vars
        found, stopped = plan.seen(state.read_lines(Path(args["private"]) / plan.COLLECTED))
        failure = args["failure"] or stopped
        made = plan.Plan.of(args["region"], found, protected=args["protected"], failure=failure)
        plans = paths.region_state(args["region"]) / plan.FOLDER
        if args["reviewed"]:
            return self._held_against(plan.find(plans, args["reviewed"]), made)
        lines = plan_view.lines(made, str(write(plans, made)))
        if refused := made.refusals():
            raise KontrolError(f"The plan is not to be carried out: {'; '.join(refused)}", {"kontrol_lines": lines})
        return {"changed": False, "hash": made.hash, "kontrol_lines": lines}

    @staticmethod
    def _held_against(reviewed: plan.Plan, made: plan.Plan) -> dict[str, Any]:
        compared = plan.compare(reviewed, made)
        refused = [*made.refusals(), *compared.refused]
        if refused:
            told = "\n".join(f"  {one}" for one in refused)
            raise KontrolError(
                f"What would be done now is not what plan {reviewed.hash[: plan_view.SHORT]} says; nothing was "
                f"written:\n{told}\nMake a new plan with the playbook plan and have it reviewed"
            )
        lines = [f"Plan {reviewed.hash[: plan_view.SHORT]} of {reviewed.made} holds: {plan_view.summary(made)}"]
        lines += [f"  true by now: {one}" for one in compared.done]
        lines += [f"  a value became known: {one}" for one in compared.learned]
        return {"changed": False, "hash": made.hash, "kontrol_lines": lines}


def write(plans: Path, made: plan.Plan) -> Path:
    """Write a plan in its three forms to a folder named by its hash, and return that."""
    folder = state.make_private_dir(state.make_private_dir(plans) / made.hash)
    state.write_text(folder / "plan.md", plan_view.markdown(made))
    state.write_text(folder / "plan.html", plan_view.page(made))
    state.write_json(folder / plan.FILE, made.as_data())
    return folder
