"""Read the one kubeconfig a run works with.

Known are: an https address with its CA, and as credentials a client certificate, a token, or an exec helper. Anything
else is an error, so that nothing is half understood. The caller's KUBECONFIG and ~/.kube are never looked at.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import ssl
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError

RUN_EXTENSION = "kontrol.run"
_CLUSTER_KEYS = {"server", "certificate-authority", "certificate-authority-data", "extensions"}
_USER_KEYS = {"client-certificate", "client-certificate-data", "client-key", "client-key-data", "token", "exec"}
_EXEC_VERSION = "client.authentication.k8s.io/v1"
_EXEC_TIMEOUT = 60.0
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_SCRUBBED = ("KUBECONFIG", "K8S_AUTH_", "TF_VAR_", "AWS_")


@dataclass(frozen=True)
class RunMark:
    """Whose kubeconfig this is: the id of the run, and its region."""

    run: str
    region: str


class Token:
    """A bearer token that does not change."""

    def __init__(self, value: str | None) -> None:
        self._value = value

    def get(self) -> str | None:
        """Return the token, None when the client certificate is the credential."""
        return self._value

    def refused(self) -> bool:
        """Tell of a 401; True when another token can be had."""
        return False


class ExecToken(Token):
    """A bearer token from an exec helper, renewed before it expires (source: client.authentication.k8s.io/v1).

    Args:
        argv: The helper with its arguments, an absolute path first.
        env: What the kubeconfig adds to the environment.
        now: The clock, in seconds since 1970.
    """

    def __init__(self, argv: list[str], env: dict[str, str], now: Callable[[], float] = time.time) -> None:
        super().__init__(None)
        self._argv, self._env, self._now = argv, env, now
        self._renew_at = 0.0
        self._lock = threading.Lock()

    def get(self) -> str | None:
        """Return a token that is still good."""
        with self._lock:
            if self._value is None or self._now() >= self._renew_at:
                self._fetch()
            return self._value

    def refused(self) -> bool:
        """Drop the token, so that the next one is fetched anew."""
        with self._lock:
            self._value = None
        return True

    def _fetch(self) -> None:
        began = self._now()
        status = self._run()
        token = status.get("token")
        if not isinstance(token, str) or not token:
            raise KontrolError(
                f"Exec helper '{self._argv[0]}' gave no token; a client certificate from it is not known"
            )
        self._value, self._renew_at = token, float("inf")
        if expires := status.get("expirationTimestamp"):
            life = datetime.fromisoformat(str(expires)).timestamp() - began
            self._renew_at = began + life - min(60.0, life / 3)

    def _run(self) -> dict[str, Any]:
        env = {name: value for name, value in os.environ.items() if not name.startswith(_SCRUBBED)} | self._env
        ask = {"apiVersion": _EXEC_VERSION, "kind": "ExecCredential", "spec": {"interactive": False}}
        env["KUBERNETES_EXEC_INFO"] = json.dumps(ask)
        name = self._argv[0]
        try:
            done = subprocess.run(
                self._argv, env=env, stdin=subprocess.DEVNULL, capture_output=True, timeout=_EXEC_TIMEOUT, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise KontrolError(
                f"Exec helper '{name}' of the kubeconfig cannot be run: {type(error).__name__}"
            ) from error
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["nothing"]
            raise KontrolError(f"Exec helper '{name}' of the kubeconfig ended with {done.returncode}: {said[0][:200]}")
        try:
            status = json.loads(done.stdout)["status"]
        except (ValueError, KeyError, TypeError):
            raise KontrolError(
                f"Exec helper '{name}' of the kubeconfig printed no {_EXEC_VERSION} credential"
            ) from None
        return dict(status)


@dataclass(frozen=True)
class Connection:
    """Where the API server is and how to prove who we are.

    Attributes:
        server: Address as written, for messages.
        host: Name or address.
        port: Port.
        context: TLS settings with the CA and the client certificate; None for plain HTTP on loopback.
        token: Source of the bearer token.
        source: Path of the kubeconfig, for messages.
        mark: The run and region that this kubeconfig was made for; None in tests.
    """

    server: str
    host: str
    port: int
    context: ssl.SSLContext | None
    token: Token
    source: str
    mark: RunMark | None = None


class _Reader:
    """One kubeconfig while it is read; knows its path for errors and for files named in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fail(self, message: str) -> KontrolError:
        return KontrolError(f"Kubeconfig '{self.path}' cannot be used: {message}")

    def content(self) -> dict[str, Any]:
        try:
            data = yaml.safe_load(self.path.read_text(encoding="utf-8"))
        except OSError as error:
            raise self.fail(error.strerror or "cannot be read") from error
        except (yaml.YAMLError, UnicodeDecodeError):
            raise self.fail("it is not YAML") from None  # the text of the error could quote a key
        if not isinstance(data, dict):
            raise self.fail("it is not a mapping")
        return data

    def entry(self, data: dict[str, Any], group: str, name: Any, inner: str) -> dict[str, Any]:
        for item in data.get(group) or []:
            if item.get("name") == name and isinstance(item.get(inner), dict):
                return dict(item[inner])
        raise self.fail(f"{inner} '{name}' is not in it")

    def known(self, given: dict[str, Any], allowed: set[str], where: str) -> None:
        odd = sorted(key for key, value in given.items() if key not in allowed and value not in (None, "", False))
        if odd:
            raise self.fail(
                f"'{', '.join(odd)}' of the {where} is not supported; known are {', '.join(sorted(allowed))}"
            )

    def blob(self, given: dict[str, Any], key: str) -> bytes | None:
        """Return a certificate or key, given inline in base64 (`<key>-data`) or as a file beside the kubeconfig."""
        inline, named = given.get(f"{key}-data"), given.get(key)
        try:
            if inline:
                return base64.b64decode(inline, validate=True)
            return (self.path.parent / named).read_bytes() if named else None
        except (binascii.Error, ValueError):
            raise self.fail(f"'{key}-data' is not base64") from None
        except OSError as error:
            raise self.fail(f"'{key}' names a file that cannot be read: {error.strerror}") from error


@contextmanager
def _as_file(content: bytes, folder: Path) -> Iterator[str]:
    """Yield a path that holds a private key for as long as the TLS library reads it; in memory where Linux allows."""
    if hasattr(os, "memfd_create"):
        number = os.memfd_create("kontrol", os.MFD_CLOEXEC)
        with os.fdopen(number, "wb") as memory:
            memory.write(content)
            memory.flush()
            yield f"/proc/self/fd/{number}"
        return
    with tempfile.NamedTemporaryFile(dir=folder) as file:  # made with mode 0600
        file.write(content)
        file.flush()
        yield file.name


def _context(reader: _Reader, cluster: dict[str, Any], user: dict[str, Any]) -> ssl.SSLContext:
    authority = reader.blob(cluster, "certificate-authority")
    if authority is None:
        raise reader.fail("the cluster has no 'certificate-authority-data', so its server cannot be verified")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_verify_locations(cadata=authority.decode("ascii"))
    except (ssl.SSLError, ValueError):
        raise reader.fail("'certificate-authority' is not a PEM certificate") from None
    certificate, key = reader.blob(user, "client-certificate"), reader.blob(user, "client-key")
    if (certificate is None) != (key is None):
        raise reader.fail("'client-certificate' and 'client-key' belong together; one is missing")
    if certificate is not None and key is not None:
        try:
            with _as_file(certificate + b"\n" + key, reader.path.parent) as name:
                context.load_cert_chain(name)
        except ssl.SSLError:
            raise reader.fail("'client-certificate' and 'client-key' are not a PEM pair") from None
    return context


def _token(reader: _Reader, user: dict[str, Any]) -> Token:
    helper = user.get("exec")
    if not helper:
        return Token(user.get("token") or None)
    if user.get("token") or user.get("client-certificate-data") or user.get("client-certificate"):
        raise reader.fail("the user has an exec helper beside another credential")
    if helper.get("apiVersion") != _EXEC_VERSION:
        raise reader.fail(f"exec helper of version '{helper.get('apiVersion')}' is not supported, only {_EXEC_VERSION}")
    if helper.get("provideClusterInfo"):
        raise reader.fail("'provideClusterInfo' of the exec helper is not supported")
    command = str(helper.get("command") or "")
    if not Path(command).is_absolute():
        raise reader.fail(f"exec helper '{command}' must be an absolute path")
    env = {str(item["name"]): str(item["value"]) for item in helper.get("env") or []}
    return ExecToken([command, *(str(item) for item in helper.get("args") or [])], env)


def _mark(data: dict[str, Any]) -> RunMark | None:
    for item in data.get("extensions") or []:
        if item.get("name") == RUN_EXTENSION:
            return RunMark(run=str(item["extension"]["run"]), region=str(item["extension"]["region"]))
    return None


def load(path: str) -> Connection:
    """Read a kubeconfig.

    Args:
        path: The file; its current context is used.

    Returns:
        The connection.

    Raises:
        KontrolError: The file cannot be read, or holds something that is not known here.
    """
    reader = _Reader(Path(path))
    data = reader.content()
    context = reader.entry(data, "contexts", data.get("current-context"), "context")
    cluster = reader.entry(data, "clusters", context.get("cluster"), "cluster")
    user = reader.entry(data, "users", context.get("user"), "user")
    reader.known(cluster, _CLUSTER_KEYS, "cluster")
    reader.known(user, _USER_KEYS, "user")
    server = str(cluster.get("server") or "")
    address = urlsplit(server)
    host = address.hostname
    if address.scheme not in {"https", "http"} or not host or address.path.strip("/") or address.query:
        raise reader.fail(f"server '{server}' is not an address of the form https://host:port")
    plain_http = address.scheme == "http"
    if plain_http and host not in _LOOPBACK:
        raise reader.fail(f"server '{server}' is plain HTTP, which is allowed on loopback only")
    return Connection(
        server=f"{address.scheme}://{address.netloc}",
        host=host,
        port=address.port or (80 if plain_http else 443),
        context=None if plain_http else _context(reader, cluster, user),
        token=_token(reader, user),
        source=str(path),
        mark=_mark(data),
    )
