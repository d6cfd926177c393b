"""Buckets and objects on an S3 server: signed requests (AWS Signature Version 4), standard library only.

An object goes up in one request, so it holds at most 5 GiB (AWS's limit for one PUT).
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import os
import re
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from html import unescape
from http import HTTPStatus
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import quote, urlsplit

from .errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import FileIO
    from pathlib import Path

_BLOCK = bytes(4096)
"""What takes room on any disk: nothing at all may be stored on one that is full."""
_BLOCK_DIGEST = hashlib.sha256(_BLOCK).hexdigest()
_ONLY_NEW = (("If-None-Match", "*"),)
_EMPTY = hashlib.sha256(b"").hexdigest()
_THERE = (HTTPStatus.OK, HTTPStatus.CONFLICT)
_TIMEOUT = 15.0
_PAUSES = (0.2, 1.0, 3.0)
"""Seconds before each new try after an answer of 5xx but a full disk; what is sent here may be sent twice."""
_PIECE = 1 << 20
_VERSIONING = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
_VERSION = re.compile(r"<(Version|DeleteMarker)>(.*?)</\1>", re.DOTALL)
_MARKERS = (("key-marker", "NextKeyMarker"), ("version-id-marker", "NextVersionIdMarker"))
"""Where the next page of a list of versions begins: parameter and element of the answer."""
_LONGEST_ANSWER = 4096
_STRANGE_KEYS = frozenset({"InvalidAccessKeyId", "SignatureDoesNotMatch", "XAdminUserNotFound"})
"""What AWS and versitygw say to keys that they do not know; versitygw by 404, as if there were nothing."""
LARGEST = 5 << 30
"""Bytes of one object: AWS's limit for one PUT."""


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


def signed_headers(
    store: Store, method: str, path: str, now: datetime, *, query: str = "", digest: str = _EMPTY
) -> dict[str, str]:
    """Return the headers of a request, signed for this moment (source: AWS, Signature Version 4).

    Args:
        store: Where it goes.
        method: GET, PUT ...
        path: Path of the bucket or object, quoted.
        now: The moment.
        query: Encoded parameters in alphabetical order.
        digest: SHA-256 of the body.
    """
    host = urlsplit(store.endpoint).netloc
    stamp = now.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{store.region}/s3/aws4_request"
    names = "host;x-amz-content-sha256;x-amz-date"
    covered = f"host:{host}\nx-amz-content-sha256:{digest}\nx-amz-date:{stamp}\n"
    canonical = f"{method}\n{path}\n{query}\n{covered}\n{names}\n{digest}"
    text = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(_key(store, stamp[:8]), text.encode(), hashlib.sha256).hexdigest()
    credential = f"Credential={store.access_key}/{scope}"
    return {
        "Host": host,
        "x-amz-date": stamp,
        "x-amz-content-sha256": digest,
        "Authorization": f"AWS4-HMAC-SHA256 {credential}, SignedHeaders={names}, Signature={signature}",
    }


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class _Request:
    """One request; `condition` holds headers that are not signed."""

    method: str
    path: str
    query: str = ""
    body: bytes | BinaryIO = b""
    digest: str = _EMPTY
    condition: tuple[tuple[str, str], ...] = ()

    def send(self, store: Store, connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
        """Send it over a connection and return the answer."""
        if not isinstance(self.body, bytes):
            self.body.seek(0)
        headers = signed_headers(store, self.method, self.path, _now(), query=self.query, digest=self.digest)
        if self.method == "PUT":
            headers["Content-Length"] = str(_size(self.body))
        target = f"{self.path}?{self.query}" if self.query else self.path
        connection.request(self.method, target, body=self.body, headers={**headers, **dict(self.condition)})
        return connection.getresponse()


@dataclass(frozen=True)
class _Answer:
    """An answer; `said` is the code and the message of a refusal, and nothing else of it: AWS repeats our key there."""

    status: int
    body: http.client.HTTPResponse
    said: str = ""

    def read(self, size: int | None = None) -> bytes:
        """Return what comes next of its body."""
        return self.body.read(size)


def _judged(store: Store, answer: http.client.HTTPResponse) -> _Answer:
    """Return an answer. Raises ToolError when the store does not know our keys."""
    if answer.status < HTTPStatus.BAD_REQUEST:
        return _Answer(answer.status, answer)
    text = answer.read(_LONGEST_ANSWER).decode("utf-8", "replace")
    code, message = (unescape(_inside(text, tag)) for tag in ("Code", "Message"))
    if code in _STRANGE_KEYS:
        raise ToolError(
            f"Backup store '{store.endpoint}' does not know our keys: it answers {answer.status} {code}. "
            "If they were changed, the playbook bootstrap puts them back"
        )
    return _Answer(answer.status, answer, ": ".join(part for part in (code, message) if part))


@contextmanager
def _answer(store: Store, request: _Request) -> Iterator[_Answer]:
    """Send a request, again after an answer of 5xx, and give its answer.

    Raises:
        ToolError: the store does not answer, or does not know our keys.
    """
    address = urlsplit(store.endpoint)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    pauses = list(_PAUSES)
    connection = kind(address.netloc, timeout=_TIMEOUT)
    try:
        answer = request.send(store, connection)
        while HTTPStatus.INTERNAL_SERVER_ERROR <= answer.status != HTTPStatus.INSUFFICIENT_STORAGE and pauses:
            connection.close()
            time.sleep(pauses.pop(0))
            answer = request.send(store, connection)
        yield _judged(store, answer)
    except (OSError, http.client.HTTPException) as error:
        where = store.endpoint
        raise ToolError(f"Backup store '{where}' does not answer: {type(error).__name__} {error}") from error
    finally:
        connection.close()


def _size(body: bytes | BinaryIO) -> int:
    return len(body) if isinstance(body, bytes) else os.fstat(body.fileno()).st_size


def _refused(answer: _Answer, what: str) -> ToolError:
    return ToolError(f"{what}: the backup store answers {answer.status} {answer.said}".rstrip())


def ensure_bucket(store: Store, bucket: str) -> None:
    """Make a bucket; that it is there already is fine.

    Raises:
        ToolError: the server does not answer or refuses.
    """
    with _answer(store, _Request("PUT", f"/{bucket}")) as answer:
        if answer.status not in _THERE:
            raise _refused(answer, f"Bucket '{bucket}' cannot be made")


def has_bucket(store: Store, bucket: str) -> bool:
    """Return whether a bucket is there, for keys that may list it. Raises ToolError."""
    with _answer(store, _Request("GET", f"/{bucket}", query="list-type=2&max-keys=1")) as answer:
        if answer.status not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
            raise _refused(answer, f"Bucket '{bucket}' cannot be listed")
        return answer.status == HTTPStatus.OK


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def put_file(store: Store, bucket: str, key: str, path: Path) -> str:
    """Store a file under a key and return its SHA-256, which the server compared. Raises ToolError."""
    if path.stat().st_size > LARGEST:
        raise ToolError(f"'{key}' is larger than {LARGEST} bytes, which one request may carry")
    digest = file_digest(path)
    with (
        path.open("rb") as file,
        _answer(store, _Request("PUT", _path(bucket, key), body=file, digest=digest)) as answer,
    ):
        if answer.status != HTTPStatus.OK:
            raise _refused(answer, f"'{key}' cannot be stored")
    return digest


def put(store: Store, bucket: str, key: str, body: bytes) -> None:
    """Store bytes under a key. Raises ToolError."""
    digest = hashlib.sha256(body).hexdigest()
    with _answer(store, _Request("PUT", _path(bucket, key), body=body, digest=digest)) as answer:
        if answer.status != HTTPStatus.OK:
            raise _refused(answer, f"'{key}' cannot be stored")


def try_writing(store: Store, bucket: str, key: str) -> None:
    """Write to a key, to see whether the store takes anything; a bucket that is not there is fine. Raises ToolError."""
    with _answer(store, _Request("PUT", _path(bucket, key), body=_BLOCK, digest=_BLOCK_DIGEST)) as answer:
        if answer.status not in (HTTPStatus.OK, HTTPStatus.NOT_FOUND):
            raise _refused(answer, f"'{key}' cannot be stored")


def put_new(store: Store, bucket: str, key: str, body: bytes) -> bool:
    """Store bytes under a key that is not there yet; return whether it was not there. Raises ToolError."""
    digest = hashlib.sha256(body).hexdigest()
    with _answer(store, _Request("PUT", _path(bucket, key), body=body, digest=digest, condition=_ONLY_NEW)) as answer:
        if answer.status in (HTTPStatus.PRECONDITION_FAILED, HTTPStatus.CONFLICT):  # conflict: another one right now
            return False
        if answer.status != HTTPStatus.OK:
            raise _refused(answer, f"'{key}' cannot be stored")
    return True


def delete(store: Store, bucket: str, key: str) -> None:
    """Delete a key; one that is not there is fine. Raises ToolError."""
    with _answer(store, _Request("DELETE", _path(bucket, key))) as answer:
        if answer.status not in (HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND):
            raise _refused(answer, f"'{key}' cannot be deleted")


@dataclass(frozen=True)
class Version:
    """One version of a key, or the marker of its deletion; `at` is the second at which it was written."""

    key: str
    version: str
    latest: bool
    marker: bool
    at: float


def keeps_versions(store: Store, bucket: str) -> bool | None:
    """Return whether a bucket keeps what is written over or deleted; None when there is no bucket. Raises ToolError."""
    with _answer(store, _Request("GET", f"/{bucket}", query="versioning=")) as answer:
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if answer.status != HTTPStatus.OK:
            raise _refused(answer, f"Bucket '{bucket}' does not tell whether it keeps versions")
        return _inside(answer.read().decode("utf-8"), "Status") == "Enabled"


def keep_versions(store: Store, bucket: str) -> None:
    """Make a bucket keep what is written over or deleted. Raises ToolError."""
    digest = hashlib.sha256(_VERSIONING).hexdigest()
    request = _Request("PUT", f"/{bucket}", query="versioning=", body=_VERSIONING, digest=digest)
    with _answer(store, request) as answer:
        if answer.status != HTTPStatus.OK:
            raise _refused(answer, f"Bucket '{bucket}' cannot be made to keep versions")


def versions(store: Store, bucket: str, prefix: str) -> list[Version]:
    """Return all versions of the keys that begin with a prefix; none where there is no bucket. Raises ToolError."""
    found: list[Version] = []
    after: list[tuple[str, str]] = []
    while True:
        query = "&".join(
            f"{name}={quote(value, safe='')}" for name, value in sorted([*after, ("prefix", prefix), ("versions", "")])
        )
        with _answer(store, _Request("GET", f"/{bucket}", query=query)) as answer:
            if answer.status == HTTPStatus.NOT_FOUND:
                return found
            if answer.status != HTTPStatus.OK:
                raise _refused(answer, f"The versions in bucket '{bucket}' cannot be listed")
            text = answer.read().decode("utf-8")
        found += [_version(one[0], one[1]) for one in _VERSION.findall(text)]
        if _inside(text, "IsTruncated") != "true":
            return found
        following = [(name, unescape(_inside(text, tag))) for name, tag in _MARKERS]
        if following == after:
            raise ToolError(f"The versions in bucket '{bucket}' cannot be listed: the store gives the same page twice")
        after = following


def _version(tag: str, text: str) -> Version:
    at = datetime.fromisoformat(_inside(text, "LastModified")).timestamp()
    latest = _inside(text, "IsLatest") == "true"
    return Version(unescape(_inside(text, "Key")), _inside(text, "VersionId"), latest, tag == "DeleteMarker", at)


def delete_version(store: Store, bucket: str, key: str, version: str) -> None:
    """Delete one version of a key for good; one that is not there is fine. Raises ToolError."""
    query = f"versionId={quote(version, safe='')}"
    with _answer(store, _Request("DELETE", _path(bucket, key), query=query)) as answer:
        if answer.status not in (HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_FOUND):
            raise _refused(answer, f"Version '{version}' of '{key}' cannot be deleted")


def get(store: Store, bucket: str, key: str) -> bytes | None:
    """Return what a key holds; None when it is not there. Raises ToolError."""
    with _answer(store, _Request("GET", _path(bucket, key))) as answer:
        if answer.status == HTTPStatus.NOT_FOUND:
            return None
        if answer.status != HTTPStatus.OK:
            raise _refused(answer, f"'{key}' cannot be read")
        return answer.read()


def get_file(store: Store, bucket: str, key: str, path: Path) -> None:
    """Write what a key holds to a file. Raises ToolError."""
    with _answer(store, _Request("GET", _path(bucket, key))) as answer:
        if answer.status != HTTPStatus.OK:
            raise _refused(answer, f"'{key}' cannot be read")
        with path.open("wb", buffering=0) as file:
            while piece := answer.read(_PIECE):
                _write(file, piece)


def _write(file: FileIO, piece: bytes) -> None:
    try:
        while piece:
            piece = piece[file.write(piece) :]
    except OSError as error:
        raise ToolError(f"'{file.name!s}' cannot be written: {error.strerror}") from error


def sizes(store: Store, bucket: str, prefix: str) -> dict[str, int]:
    """Return the bytes of each key that begins with a prefix, in order; nothing without a bucket. Raises ToolError."""
    found: dict[str, int] = {}
    token = ""
    while True:
        more = f"continuation-token={quote(token, safe='')}&" if token else ""
        query = f"{more}list-type=2&prefix={quote(prefix, safe='')}"
        with _answer(store, _Request("GET", f"/{bucket}", query=query)) as answer:
            if answer.status == HTTPStatus.NOT_FOUND:
                return found
            if answer.status != HTTPStatus.OK:
                raise _refused(answer, f"Bucket '{bucket}' cannot be listed")
            text = answer.read().decode("utf-8")
        for one in re.findall(r"<Contents>.*?</Contents>", text, re.DOTALL):
            found[unescape(_inside(one, "Key"))] = int(_inside(one, "Size"))
        if not (token := unescape(_inside(text, "NextContinuationToken"))):
            return found


def _inside(text: str, tag: str) -> str:
    found = re.search(f"<{tag}>([^<]*)</{tag}>", text)
    return found[1] if found else ""


def keys(store: Store, bucket: str, prefix: str) -> list[str]:
    """Return all keys that begin with a prefix, in order; none when there is no bucket. Raises ToolError."""
    return list(sizes(store, bucket, prefix))


def _path(bucket: str, key: str) -> str:
    return f"/{bucket}/{quote(key)}"
