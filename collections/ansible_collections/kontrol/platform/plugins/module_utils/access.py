"""The way into a cluster: the endpoint that a kubeconfig names, and the private kubeconfig of one run."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from ansible_collections.kontrol.platform.plugins.module_utils import yaml_io
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError

RUN_EXTENSION: Final = "kontrol.run"
PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
FILE_FIELDS: Final = {
    "certificate-authority": "certificate-authority-data",
    "client-certificate": "client-certificate-data",
    "client-key": "client-key-data",
}


class AccessError(KontrolError):
    """A kubeconfig cannot be used."""


@dataclass(frozen=True)
class Access:
    """What the current context of a kubeconfig names, files read in; `user` holds credentials: never show it."""

    source: str
    api_server: str
    ca_sha256: str
    cluster: dict[str, Any]
    user: dict[str, Any]


def parse(text: str, source: str, folder: Path | None = None) -> Access:
    """Return what the current context names.

    Args:
        text: The kubeconfig.
        source: Its name in messages.
        folder: What relative file names in it start from; None when it has none.

    Raises:
        AccessError: when the context, its cluster or its user is missing, or the cluster has no CA of its own.
    """
    try:
        config = yaml_io.load(text, source)
    except KontrolError as error:
        raise AccessError(f'Kubeconfig "{source}" cannot be read: {error}') from error
    if not isinstance(config, dict):
        raise AccessError(f'Kubeconfig "{source}" is not a mapping')
    context = _named(config, "contexts", str(config.get("current-context") or ""), source, "context")
    cluster = _inlined(_named(config, "clusters", str(context.get("cluster", "")), source, "cluster"), source, folder)
    user = _inlined(_named(config, "users", str(context.get("user", "")), source, "user"), source, folder)
    return Access(source, str(cluster.get("server", "")).rstrip("/"), _ca_sha256(cluster, source), cluster, user)


def load(path: Path) -> Access:
    """Return what the current context of a kubeconfig file names; see `parse`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise AccessError(f'Kubeconfig "{path}" cannot be read: {error.strerror}; name a file that is there') from error
    return parse(text, str(path), path.parent)


def kubeconfig(access: Access, region: str, run: str = "") -> str:
    """Return a kubeconfig with this one way in; with `run` also the mark that makes the engine check the Lease."""
    config: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": region,
        "contexts": [{"name": region, "context": {"cluster": region, "user": region}}],
        "clusters": [{"name": region, "cluster": access.cluster}],
        "users": [{"name": region, "user": access.user}],
    }
    if run:
        config["extensions"] = [{"name": RUN_EXTENSION, "extension": {"run": run, "region": region}}]
    return json.dumps(config, indent=1) + "\n"


def _named(config: dict[str, Any], group: str, name: str, source: str, what: str) -> dict[str, Any]:
    """Return the entry of that name; kubeconfigs keep lists of {name, <what>}."""
    for entry in config.get(group) or []:
        if isinstance(entry, dict) and str(entry.get("name")) == name and isinstance(entry.get(what), dict):
            return dict(entry[what])
    raise AccessError(f'Kubeconfig "{source}" has no {what} "{name}"; its current-context must name a complete one')


def _inlined(entry: dict[str, Any], source: str, folder: Path | None) -> dict[str, Any]:
    """Return the entry with the files that it names read in, so that the copy works from any folder."""
    result = dict(entry)
    for field, data_field in FILE_FIELDS.items():
        name = result.pop(field, None)
        if not name or data_field in result:
            continue
        try:
            content = ((folder or Path()) / str(name)).read_bytes()
        except OSError as error:
            raise AccessError(f'File "{name}" of kubeconfig "{source}" cannot be read: {error.strerror}') from error
        result[data_field] = base64.b64encode(content).decode()
    return result


def _ca_sha256(cluster: dict[str, Any], source: str) -> str:
    """Return the SHA-256 of the CA certificates (DER, sorted), so that neither spacing nor order of a bundle counts."""
    try:
        text = base64.b64decode(str(cluster.get("certificate-authority-data") or ""), validate=True).decode()
        certificates = sorted(ssl.PEM_cert_to_DER_cert(pem) for pem in PEM.findall(text))
    except (binascii.Error, ValueError) as error:
        raise AccessError(f'The CA certificate in kubeconfig "{source}" cannot be read: {error}') from error
    if not certificates:
        raise AccessError(f'Kubeconfig "{source}" has no CA certificate, so the cluster behind it cannot be proven')
    return hashlib.sha256(b"".join(certificates)).hexdigest()
