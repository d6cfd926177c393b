"""Connections, retries and the texts of errors."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube import kubeconfig
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import ApiError, Client
from ansible_collections.kontrol.platform.tests.unit.stub_api import Object, StubApi

PATH = "/api/v1/namespaces/kontrol-system/configmaps/a"
CONFIG_MAP: Object = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": "kontrol-system"}}


@contextmanager
def raw_server(*answers: bytes) -> Iterator[str]:
    """Serve one prepared answer per connection and close it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            for answer in answers:
                try:
                    conn, _ = listener.accept()
                except OSError:
                    return
                with conn:
                    conn.recv(65536)
                    conn.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def client_for(url: str) -> Client:
    port = int(url.rpartition(":")[2])
    link = kubeconfig.Connection(url, "127.0.0.1", port, None, kubeconfig.Token(None), "/run/kubeconfig")
    return Client(link, sleep=lambda _seconds: None)


class TestDiscard:
    def test_what_is_there_is_deleted_and_what_is_not_is_fine(self, api: StubApi, client: Client) -> None:
        api.put(CONFIG_MAP)
        assert client.discard(PATH) is not None
        assert client.find(PATH) is None
        assert client.discard(PATH) is None

    def test_any_other_refusal_is_an_error(self, api: StubApi, client: Client) -> None:
        api.fail("DELETE", "configmaps/a", 403, "Forbidden")
        with pytest.raises(ApiError, match="403"):
            client.discard(PATH)


class TestRetries:
    @pytest.mark.parametrize("code", [429, 503])
    def test_retry_after_is_obeyed(self, api: StubApi, client: Client, code: int) -> None:
        slept: list[float] = []
        client._sleep = slept.append
        api.put(CONFIG_MAP)
        api.fail("GET", "configmaps/a", code, "Busy", headers={"Retry-After": "3"}, times=2)
        assert client.get(PATH)["kind"] == "ConfigMap"
        assert slept == [3.0, 3.0]

    def test_a_long_retry_after_is_cut(self, api: StubApi, client: Client) -> None:
        slept: list[float] = []
        client._sleep = slept.append
        api.fail("GET", "configmaps/a", 429, "Busy", headers={"Retry-After": "9999"})
        assert client.find(PATH) is None
        assert slept == [30.0]

    def test_it_ends(self, api: StubApi, client: Client) -> None:
        api.fail("GET", "configmaps/a", 503, "Busy", "try later", headers={"Retry-After": "1"}, times=99)
        with pytest.raises(ApiError, match=r"GET .*/configmaps/a failed with 503 Busy: try later"):
            client.get(PATH)
        assert len(api.requests) == 5

    def test_without_retry_after_the_answer_is_final(self, api: StubApi, client: Client) -> None:
        api.fail("GET", "configmaps/a", 503, "ServiceUnavailable")
        with pytest.raises(ApiError):
            client.get(PATH)
        assert len(api.requests) == 1

    def test_a_dropped_connection_is_tried_again(self, api: StubApi, client: Client) -> None:
        api.fail("PATCH", "configmaps/a", 0, drop=True, times=2)
        created, _ = client.apply(PATH, CONFIG_MAP)
        assert created

    def test_a_post_is_not_sent_twice(self, api: StubApi, client: Client) -> None:
        api.fail("POST", "configmaps", 0, drop=True, times=1)
        with pytest.raises(KontrolError, match="cannot be reached"):
            client.request("POST", "/api/v1/namespaces/kontrol-system/configmaps", body=CONFIG_MAP)
        assert len(api.requests) == 1

    def test_a_stale_connection_is_replaced(self, api: StubApi, client: Client) -> None:
        client.find(PATH)
        client._idle[0].interrupt()
        assert client.find(PATH) is None


class TestErrors:
    def test_forbidden_names_verb_and_resource(self, api: StubApi, client: Client) -> None:
        api.fail("PATCH", "configmaps", 403, "Forbidden", 'User "x" cannot patch resource "configmaps"')
        with pytest.raises(ApiError, match=r'PATCH .* failed with 403 Forbidden: User "x" cannot patch resource'):
            client.apply(PATH, CONFIG_MAP)

    def test_unauthorized_names_the_kubeconfig(self, api: StubApi, client: Client) -> None:
        api.fail("GET", "", 401, "Unauthorized")
        with pytest.raises(ApiError, match=r"does not accept the credentials of '.*kubeconfig' .401.; make new ones"):
            client.get(PATH)

    def test_refused_connection(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        with pytest.raises(KontrolError, match=f"'http://127.0.0.1:{port}' refuses connections; is the cluster of"):
            client_for(f"http://127.0.0.1:{port}").get(PATH)

    def test_a_redirect_is_not_followed(self, api: StubApi, client: Client) -> None:
        api.fail("GET", "", 302, headers={"Location": "http://elsewhere.test/"})
        with pytest.raises(ApiError, match="failed with 302"):
            client.get(PATH)
        assert len(api.requests) == 1

    def test_an_answer_that_is_not_json(self) -> None:
        answer = b"HTTP/1.1 500 X\r\nContent-Length: 4\r\n\r\noops"
        with raw_server(answer) as url, pytest.raises(ApiError, match="failed with 500: oops"):
            client_for(url).get(PATH)

    def test_not_http_at_all(self) -> None:
        with raw_server(*[b"SSH-2.0-x\r\n\r\n"] * 5) as url, pytest.raises(KontrolError, match="Not an HTTP answer"):
            client_for(url).get(PATH)

    def test_silence_is_a_timeout(self, monkeypatch: pytest.MonkeyPatch) -> None:
        module = "ansible_collections.kontrol.platform.plugins.module_utils.kube.client.TIMEOUT"
        monkeypatch.setattr(module, 0.1)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            client = client_for(f"http://127.0.0.1:{listener.getsockname()[1]}")
            with pytest.raises(KontrolError, match="did not answer within 0 s"):
                client.get(PATH)

    def test_a_name_that_cannot_be_resolved(self) -> None:
        link = kubeconfig.Connection("http://x", "no-such-host.invalid", 1, None, kubeconfig.Token(None), "k")
        with pytest.raises(KontrolError, match="API server 'http://x' cannot be reached"):
            Client(link, sleep=lambda _s: None).get(PATH)


class TestFraming:
    def test_chunked_with_trailers_and_interim_answer(self) -> None:
        body = b'2\r\n{"\r\n7;x=y\r\nkind":1\r\n1\r\n}\r\n0\r\nTrailer: x\r\n\r\n'
        answer = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body
        with raw_server(answer) as url:
            assert client_for(url).get(PATH) == {"kind": 1}

    def test_no_length_reads_until_the_end(self) -> None:
        with raw_server(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"kind": 2}') as url:
            client = client_for(url)
            assert client.get(PATH) == {"kind": 2}
            assert not client._idle

    def test_no_content(self) -> None:
        with raw_server(b"HTTP/1.1 204 No Content\r\n\r\n") as url:
            assert client_for(url).request("DELETE", PATH) == {}

    def test_an_answer_cut_short_is_tried_again(self) -> None:
        cut = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"
        with raw_server(cut, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}") as url:
            assert client_for(url).get(PATH) == {}

    def test_an_endless_head_is_refused(self) -> None:
        answer = b"HTTP/1.1 200 OK\r\n" + b"x" * 600_000
        with raw_server(*[answer] * 5) as url, pytest.raises(KontrolError, match="head does not end"):
            client_for(url).get(PATH)


def test_lists_are_read_page_by_page(api: StubApi, client: Client) -> None:
    for number in range(7):
        api.put({**CONFIG_MAP, "metadata": {"name": f"c{number}", "namespace": "kontrol-system"}})
    found = client.list("/api/v1/namespaces/kontrol-system/configmaps", {"limit": "3"})
    assert [obj["metadata"]["name"] for obj in found] == [f"c{number}" for number in range(7)]
    assert {(obj["apiVersion"], obj["kind"]) for obj in found} == {("v1", "ConfigMap")}
    assert len(api.requests) == 3


def test_connections_are_kept(api: StubApi, client: Client) -> None:
    client.map(client.find, [f"{PATH}{number}" for number in range(60)])
    assert 1 <= len(client._idle) <= client.workers
    client.close()
    assert not client._idle


def test_the_token_is_sent(tmp_path: Path) -> None:
    with StubApi(token="tok-CANARY") as api:
        client = Client(kubeconfig.load(api.kubeconfig(tmp_path)))
        assert client.find(PATH) is None
        client.close()
        assert "CANARY" not in repr(client.connection)


def test_text_is_not_decoded(api: StubApi, client: Client) -> None:
    api.logs["/api/v1/namespaces/shop/pods/x"] = "line 1\nline 2"
    assert client.text("/api/v1/namespaces/shop/pods/x/log") == "line 1\nline 2"
