"""Makes a bucket on an S3 server: one signed request (AWS Signature Version 4), standard library only."""

from __future__ import annotations

import hashlib
import hmac
import http.client
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable

_EMPTY = hashlib.sha256(b"").hexdigest()
_THERE = (HTTPStatus.OK, HTTPStatus.CONFLICT)
_TIMEOUT = 15.0


@dataclass(frozen=True)
class Store:
    """An S3 server: address (http or https), region of the signature, and the two keys."""

    endpoint: str
    region: str
    access_key: str
    secret_key: str


def _key(store: Store, day: str) -> bytes:
    key = f"AWS4{store.secret_key}".encode()
    for part in (day, store.region, "s3", "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def signed_headers(store: Store, method: str, path: str, now: datetime) -> dict[str, str]:
    """Return the headers of a request without a body, signed for this moment (source: AWS, Signature Version 4)."""
    host = urlsplit(store.endpoint).netloc
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{store.region}/s3/aws4_request"
    names = "host;x-amz-content-sha256;x-amz-date"
    canonical = (
        f"{method}\n{path}\n\nhost:{host}\nx-amz-content-sha256:{_EMPTY}\nx-amz-date:{stamp}\n\n{names}\n{_EMPTY}"
    )
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(_key(store, stamp[:8]), text.encode(), hashlib.sha256).hexdigest()
    credential = f"Credential={store.access_key}/{scope}"
    return {
        "Host": host,
        "x-amz-date": stamp,
        "x-amz-content-sha256": _EMPTY,
        "Authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signature}",
    }


def _now() -> datetime:
    return datetime.now(UTC)


def ensure_bucket(store: Store, bucket: str, now: Callable[[], datetime] = _now) -> None:
    """Make a bucket; that it is there already is fine.

    Raises:
        ToolError: the server does not answer or refuses.
    """
    address = urlsplit(store.endpoint)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(address.netloc, timeout=_TIMEOUT)
    path = f"/{bucket}"
    try:
        connection.request("PUT", path, headers=signed_headers(store, "PUT", path, now()))
        answer = connection.getresponse()
        body = answer.read(300).decode("utf-8", "replace")
    except (OSError, http.client.HTTPException) as error:
        where = store.endpoint
        raise ToolError(f"Backup store '{where}' does not answer: {type(error).__name__} {error}") from error
    finally:
        connection.close()
    if answer.status not in _THERE:
        raise ToolError(f"Bucket '{bucket}' cannot be made: the backup store answers {answer.status} {body}")
