"""Silences alerts of some components in Alertmanager for as long as somebody breaks them on purpose, and ends that."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from . import arguments
from .errors import ArgumentError, ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping

AUTHOR: Final = "kontrol-drill"
_TIMEOUT_SECONDS = 10.0


def _ask(step: Mapping[str, Any], path: str, body: Mapping[str, Any] | None = None, method: str = "GET") -> Any:
    """Return the answer of Alertmanager's API, version 2. Raises ToolError."""
    host, port = arguments.text(step, "host"), int(arguments.number(step, "port", 9093))
    url = f"http://{host}:{port}/api/v2/{path}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS) as answer:  # noqa: S310 - the address above
            text = answer.read()
    except (OSError, urllib.error.HTTPError) as error:
        raise ToolError(f"Alertmanager '{host}' does not take '{method} {path.partition('/')[0]}': {error}") from error
    return json.loads(text) if text else None


def silence(step: Mapping[str, Any]) -> dict[str, Any]:
    """Silence the alerts of `components` (a list of names, label `component`) for `seconds`, told by `comment`."""
    components = step.get("components")
    if not isinstance(components, list) or not components or not all(isinstance(one, str) for one in components):
        raise ArgumentError(f"Argument 'components' must be a list of names, not '{components!r}'")
    now = datetime.now(UTC)
    matcher = {"name": "component", "value": "|".join(components), "isRegex": True, "isEqual": True}
    made = _ask(
        step,
        "silences",
        {
            "matchers": [matcher],
            "startsAt": now.isoformat(),
            "endsAt": (now + timedelta(seconds=arguments.number(step, "seconds"))).isoformat(),
            "createdBy": AUTHOR,
            "comment": arguments.text(step, "comment"),
        },
        "POST",
    )
    return {"id": str(made["silenceID"])}


def unsilence(step: Mapping[str, Any]) -> dict[str, Any]:
    """End all silences that `silence` has ever made here. Result: ended, a list of ids."""
    own = [one for one in _ask(step, "silences") if one.get("createdBy") == AUTHOR]
    active = [str(one["id"]) for one in own if one.get("status", {}).get("state") != "expired"]
    for identity in active:
        _ask(step, f"silence/{identity}", method="DELETE")
    return {"ended": active}
