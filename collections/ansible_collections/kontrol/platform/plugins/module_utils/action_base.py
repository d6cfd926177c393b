"""Base class of the collection's action plugins: arguments are judged once, errors become one message."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from ansible.errors import AnsibleError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase
from ansible.template import trust_as_template

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError


def plain(value: Any) -> Any:
    """Copy a task argument into plain Python types.

    Ansible hands over lazily templated containers and tagged strings; an encoder or a thread must not meet those.

    Args:
        value: What the task was given: None, a scalar, a list or a dictionary, nested.

    Returns:
        The same content made of dict, list, str, int, float, bool and None alone.
    """
    if isinstance(value, dict):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    for kind in (bool, str, int, float):
        if isinstance(value, kind):
            return value if type(value) is kind else kind(value)
    return value


class KontrolAction(ActionBase):
    """An action plugin that works on the controller, without module transfer.

    A plugin sets `ARGUMENTS` (an Ansible argument spec) and writes `execute`. `KontrolError` becomes a failed result
    with its text as `msg`; any other exception is a bug and keeps its traceback.

    Attributes:
        ARGUMENTS: Argument spec: name to {type, required, default, choices, elements, options ...}.
        RULES: Further keywords of the validator: mutually_exclusive, required_one_of, required_by ...
        BULK: Names of list arguments that are passed on as they are: too large to be copied by the validator.
    """

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {}
    RULES: ClassVar[dict[str, Any]] = {}
    BULK: ClassVar[frozenset[str]] = frozenset()
    _requires_connection = False
    _supports_check_mode = True
    _supports_diff = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Validate the arguments, call `execute` and return the task's result."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        known = task_vars or {}
        try:
            done = {**result, **self.execute(self.validated(), known)}
            # A look ahead within a run that writes: what it would change, this run's statistics must not count twice.
            planning = known.get("kontrol_check") and not known.get("ansible_check_mode")
            return {**done, "changed": False} if planning else done
        except KontrolError as error:
            return {**result, "failed": True, "changed": False, **error.result, "msg": str(error)}

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Do the work of the task.

        Args:
            args: The validated arguments, defaults filled in, in plain Python types.
            task_vars: The variables of the host, for templates.

        Returns:
            The result: `changed` and whatever the plugin documents.
        """
        raise NotImplementedError

    @property
    def check_mode(self) -> bool:
        """Whether nothing may be written."""
        return bool(self._task.check_mode)

    @property
    def diff_mode(self) -> bool:
        """Whether the caller asked for a diff."""
        return bool(self._task.diff)

    def validated(self) -> dict[str, Any]:
        """Return the task's arguments, judged against `ARGUMENTS`, defaults filled in."""
        given = {str(key): plain(value) for key, value in self._task.args.items()}
        bulk = {name: given.pop(name) for name in self.BULK if given.get(name) is not None}
        spec = {name: rule for name, rule in self.ARGUMENTS.items() if name not in bulk}
        outcome = ArgumentSpecValidator(spec, **self.RULES).validate(given)
        problems = list(outcome.error_messages)
        problems += [f"Argument '{name}' must be a list" for name, value in bulk.items() if not isinstance(value, list)]
        if problems:
            raise KontrolError(f"Arguments of '{self._task.action}' are wrong: {'; '.join(problems)}")
        return {**outcome.validated_parameters, **bulk}

    def rendered(self, template: str, task_vars: dict[str, Any]) -> Any:
        """Render a template of the role, with the settings of the template module.

        Args:
            template: File name in the role's templates folder.
            task_vars: The variables.

        Returns:
            The text, or plain data where the template is one expression; an empty text when it renders to nothing.

        Raises:
            KontrolError: The template is missing, or a variable in it is not defined.
        """
        try:
            path = Path(self._find_needle("templates", template))
            text = trust_as_template(self._loader.get_text_file_contents(str(path)))
            folders = [str(path.parent), *(str(Path(one) / "templates") for one in self._task.get_search_path())]
            templar = self._templar.copy_with_new_env(searchpath=folders, available_variables=task_vars)
            result = templar.template(text, escape_backslashes=False, overrides={"trim_blocks": True})
        except AnsibleError as error:
            raise KontrolError(f"Template '{template}' cannot be rendered: {error}") from error
        return "" if result is None else plain(result)
