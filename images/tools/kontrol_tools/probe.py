"""Tells what answers at an endpoint: which ports take a connection, and from whom, is what verify compares.

A connection that a sidecar accepts on behalf of somebody else proves nothing, so each probe sends bytes and reads.
"""

from __future__ import annotations

import http.client
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from . import arguments
from .errors import ArgumentError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_WORKERS = 32
_GATEWAY = (HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT)
_PAUSE_SECONDS = 0.25


@dataclass(frozen=True)
class Outcome:
    """One answer.

    `outcome`: open, denied (an answer of the mesh), reset, closed, refused, timeout, unresolved or unreachable.
    """

    outcome: str
    status: int | None = None
    detail: str = ""


@dataclass(frozen=True)
class Endpoint:
    """What to ask. `want` (open or refused, else empty) only says how long to repeat: see `settle`."""

    name: str
    host: str
    port: int
    protocol: str
    path: str
    want: str


def endpoint(raw: Mapping[str, Any]) -> Endpoint:
    """Check one item of the argument `endpoints`."""
    protocol = arguments.text(raw, "protocol", "tcp")
    want = raw.get("want", "")
    if protocol not in _PROBES or want not in ("", "open", "refused"):
        raise ArgumentError(f"Endpoint '{raw.get('name')}' has protocol '{protocol}' and want '{want}'; see README.md")
    return Endpoint(
        name=arguments.text(raw, "name"),
        host=arguments.text(raw, "host"),
        port=int(arguments.number(raw, "port")),
        protocol=protocol,
        path=arguments.text(raw, "path", "/"),
        want=want,
    )


def _from_error(error: OSError) -> Outcome:
    kinds: list[tuple[type[OSError], str]] = [
        (socket.gaierror, "unresolved"),
        (ConnectionRefusedError, "refused"),
        (ConnectionResetError, "reset"),
        (BrokenPipeError, "reset"),
        (TimeoutError, "timeout"),
    ]
    name = next((name for kind, name in kinds if isinstance(error, kind)), "unreachable")
    return Outcome(name, detail=str(error.strerror or error))


def probe_http(target: Endpoint, timeout: float) -> Outcome:
    """GET the path. A 403 or 503 that Envoy itself made is the mesh saying no, not the service answering."""
    connection = http.client.HTTPConnection(target.host, target.port, timeout=timeout)
    try:
        connection.request("GET", target.path, headers={"Connection": "close"})
        answer = connection.getresponse()
        body = answer.read(200).decode("utf-8", "replace").strip()
    except http.client.RemoteDisconnected:
        return Outcome("closed", detail="no answer")
    except http.client.HTTPException as error:
        return Outcome("closed", detail=f"not HTTP: {type(error).__name__}")
    except OSError as error:
        return _from_error(error)
    finally:
        connection.close()
    if answer.status == HTTPStatus.FORBIDDEN and body.startswith("RBAC:"):
        return Outcome("denied", answer.status, body[:80])
    if answer.status in _GATEWAY and body.startswith(("upstream", "no healthy upstream")):
        kind = "reset" if "reset" in body else "unreachable"
        return Outcome(kind, answer.status, body[:120])
    return Outcome("open", answer.status, body[:80])


def probe_tcp(target: Endpoint, timeout: float) -> Outcome:
    """Connect, send a line and read: silence until the timeout means that the port is open."""
    try:
        with socket.create_connection((target.host, target.port), timeout=timeout) as connection:
            connection.sendall(b"\r\n")
            connection.settimeout(min(timeout, 1.0))
            try:
                return Outcome("open") if connection.recv(1) else Outcome("closed", detail="no answer")
            except TimeoutError:
                return Outcome("open", detail="silent")
    except OSError as error:
        return _from_error(error)


_PROBES: dict[str, Callable[[Endpoint, float], Outcome]] = {"http": probe_http, "tcp": probe_tcp}


def as_wanted(want: str, outcome: Outcome) -> bool:
    """Tell whether an outcome is what was wanted; nothing wanted is always met."""
    return not want or (want == "open") == (outcome.outcome == "open")


def probe(target: Endpoint, timeout: float, settle: float) -> dict[str, Any]:
    """Probe until the outcome is as wanted or `settle` seconds are over; return the last outcome."""
    started = time.monotonic()
    tries = 0
    while True:
        tries += 1
        begun = time.monotonic()
        outcome = _PROBES[target.protocol](target, timeout)
        spent = time.monotonic() - begun
        if as_wanted(target.want, outcome) or time.monotonic() - started + _PAUSE_SECONDS > settle:
            break
        time.sleep(_PAUSE_SECONDS)
    return {"name": target.name, **asdict(outcome), "milliseconds": round(spent * 1000), "tries": tries}


def run(step: Mapping[str, Any]) -> dict[str, Any]:
    """Probe all endpoints at once. Arguments: endpoints, timeout (seconds of one try), settle (seconds)."""
    targets = [endpoint(raw) for raw in arguments.objects(step, "endpoints")]
    timeout, settle = arguments.number(step, "timeout", 3.0), arguments.number(step, "settle", 0.0)
    with ThreadPoolExecutor(min(_WORKERS, len(targets) or 1)) as pool:
        return {"endpoints": list(pool.map(lambda target: probe(target, timeout, settle), targets))}
