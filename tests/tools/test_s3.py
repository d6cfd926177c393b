"""Making a bucket: the signature against AWS's own rules, and the answers of a server."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from images.tools.kontrol_tools import s3
from images.tools.kontrol_tools.errors import ToolError
from tests.tools.bucket import Bucket, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOW = datetime(2013, 5, 24, tzinfo=UTC)


@contextmanager
def server(status: int, asked: list[tuple[str, str]], body: bytes = b"") -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.do_PUT()

        def do_PUT(self) -> None:
            asked.append((self.path, self.headers["Authorization"]))
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as one:
        threading.Thread(target=one.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{one.server_address[1]}"
        one.shutdown()


def store(endpoint: str) -> s3.Store:
    return s3.Store(endpoint, "us-east-1", "AKIAIOSFODNN7EXAMPLE", "CANARY-secret")


@pytest.mark.parametrize("status", [200, 409])
def test_a_bucket_that_is_made_or_there_is_fine(status: int) -> None:
    asked: list[tuple[str, str]] = []
    with server(status, asked) as endpoint:
        s3.ensure_bucket(store(endpoint), "kontrol-backups")
    ((path, authorization),) = asked
    assert path == "/kontrol-backups"
    assert authorization.startswith("AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/")


def test_a_refusal_is_an_error_without_a_key() -> None:
    with (
        server(403, []) as endpoint,
        pytest.raises(ToolError, match=r"'kontrol-backups' cannot be made: .* 403") as error,
    ):
        s3.ensure_bucket(store(endpoint), "kontrol-backups")
    assert "CANARY" not in str(error.value)


@pytest.mark.parametrize(
    ("ask", "what"),
    [
        (lambda one, path: s3.put(one, "b", "key", b"x"), "'key' cannot be stored"),
        (lambda one, path: s3.put_new(one, "b", "key", b"x"), "'key' cannot be stored"),
        (lambda one, path: s3.put_file(one, "b", "key", path), "'key' cannot be stored"),
        (lambda one, path: s3.get(one, "b", "key"), "'key' cannot be read"),
        (lambda one, path: s3.get_file(one, "b", "key", path), "'key' cannot be read"),
        (lambda one, path: s3.delete(one, "b", "key"), "'key' cannot be deleted"),
        (lambda one, path: s3.delete_version(one, "b", "key", "7"), "Version '7' of 'key' cannot be deleted"),
        (lambda one, path: s3.sizes(one, "b", ""), "Bucket 'b' cannot be listed"),
        (lambda one, path: s3.versions(one, "b", ""), "The versions in bucket 'b' cannot be listed"),
        (lambda one, path: s3.keeps_versions(one, "b"), "Bucket 'b' does not tell whether it keeps versions"),
        (lambda one, path: s3.keep_versions(one, "b"), "Bucket 'b' cannot be made to keep versions"),
    ],
)
def test_whatever_the_store_refuses_is_an_error_and_no_answer(
    ask: Callable[[s3.Store, Path], Any], what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "_PAUSES", ())
    (tmp_path / "file").write_bytes(b"before")
    with serving(Bucket(broken=1)) as bucket, pytest.raises(ToolError, match=f"{what}: .* 500") as error:
        ask(store(bucket.endpoint), tmp_path / "file")
    assert "CANARY" not in str(error.value)
    assert (tmp_path / "file").read_bytes() == b"before"


def test_a_file_comes_back_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").write_bytes(bytes(range(256)) * 3)
    monkeypatch.setattr(s3, "_PIECE", 100)
    with serving(Bucket()) as bucket:
        one = store(bucket.endpoint)
        assert s3.put_file(one, "b", "key", tmp_path / "there") == s3.file_digest(tmp_path / "there")
        s3.get_file(one, "b", "key", tmp_path / "back")
        with pytest.raises(ToolError, match="cannot be written: No space left on device"):
            s3.get_file(one, "b", "key", Path("/dev/full"))
    assert (tmp_path / "back").read_bytes() == (tmp_path / "there").read_bytes()


def test_what_is_too_large_for_one_request_is_refused_before_it_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(s3, "LARGEST", 3)
    (tmp_path / "file").write_bytes(b"1234")
    with serving(Bucket()) as bucket, pytest.raises(ToolError, match="'key' is larger than 3 bytes"):
        s3.put_file(store(bucket.endpoint), "b", "key", tmp_path / "file")
    assert bucket.objects == {}


def test_a_refusal_tells_code_and_message_but_not_the_key_that_aws_repeats() -> None:
    said = b"""<Error><Code>AccessDenied</Code><Message>It isn&apos;t yours</Message>
    <AWSAccessKeyId>AKIAIOSFODNN7EXAMPLE</AWSAccessKeyId><StringToSign>CANARY</StringToSign></Error>"""
    with server(403, [], said) as endpoint, pytest.raises(ToolError) as error:
        s3.ensure_bucket(store(endpoint), "b")
    assert str(error.value) == ("Bucket 'b' cannot be made: the backup store answers 403 AccessDenied: It isn't yours")


@pytest.mark.parametrize(
    ("status", "code"), [(403, "InvalidAccessKeyId"), (403, "SignatureDoesNotMatch"), (404, "XAdminUserNotFound")]
)
def test_a_store_that_does_not_know_our_keys_is_no_empty_store(status: int, code: str) -> None:
    """404 with other codes means that there is no object, or no bucket."""
    with server(status, [], f"<Error><Code>{code}</Code></Error>".encode()) as endpoint:
        for ask in (
            s3.keeps_versions,
            lambda one, bucket: s3.sizes(one, bucket, ""),
            lambda one, _: s3.get(one, "b", "k"),
        ):
            with pytest.raises(ToolError, match=f"does not know our keys: it answers {status} {code}. If they"):
                ask(store(endpoint), "b")


def test_no_server_is_an_error() -> None:
    with pytest.raises(ToolError, match="does not answer: ConnectionRefusedError"):
        s3.ensure_bucket(store("http://127.0.0.1:1"), "b")


def test_the_signature_changes_with_everything_that_it_covers() -> None:
    base = s3.signed_headers(store("http://h:1"), "PUT", "/b", NOW)["Authorization"]
    others = [
        s3.signed_headers(store("http://other:1"), "PUT", "/b", NOW),
        s3.signed_headers(store("http://h:1"), "GET", "/b", NOW),
        s3.signed_headers(store("http://h:1"), "PUT", "/c", NOW),
        s3.signed_headers(
            s3.Store("http://h:1", "eu-west-1", "AKIAIOSFODNN7EXAMPLE", "CANARY-secret"), "PUT", "/b", NOW
        ),
        s3.signed_headers(s3.Store("http://h:1", "us-east-1", "AKIAIOSFODNN7EXAMPLE", "other"), "PUT", "/b", NOW),
    ]
    assert len({base, *(headers["Authorization"] for headers in others)}) == 6


def test_a_signing_key_is_good_for_one_day() -> None:
    assert s3._key(store("http://h"), "20120215") != s3._key(store("http://h"), "20120216")


def listed(key: str, version: str, more: str = "") -> str:
    times = "<LastModified>2026-11-25T03:00:00.5Z</LastModified><IsLatest>true</IsLatest>"
    return f"<Version><Key>{key}</Key><VersionId>{version}</VersionId>{times}</Version>{more}"


def test_versions_are_listed_page_by_page() -> None:
    bucket = Bucket()
    following = "<NextKeyMarker>a&amp;b</NextKeyMarker><NextVersionIdMarker>v/1</NextVersionIdMarker>"
    more = f"<IsTruncated>true</IsTruncated>{following}"
    bucket.pages = [listed("a&amp;b", "v/1", more), listed("c", "v2", "<IsTruncated>false</IsTruncated>")]
    with serving(bucket):
        found = s3.versions(store(bucket.endpoint), "b", "shop/")
    assert [(one.key, one.version, one.latest, one.marker) for one in found] == [
        ("a&b", "v/1", True, False),
        ("c", "v2", True, False),
    ]
    assert found[0].at == 1795575600.5
    assert bucket.asked == [
        "prefix=shop%2F&versions=",
        "key-marker=a%26b&prefix=shop%2F&version-id-marker=v%2F1&versions=",
    ]


def test_a_store_that_gives_the_same_page_for_ever_is_told() -> None:
    bucket = Bucket()
    more = "<IsTruncated>true</IsTruncated><NextKeyMarker>a</NextKeyMarker>"
    bucket.pages = [listed("a", "v1", more)] * 3
    with serving(bucket), pytest.raises(ToolError, match="the same page twice"):
        s3.versions(store(bucket.endpoint), "b", "shop/")
