"""What a kubeconfig may hold, and how the server is verified."""

from __future__ import annotations

import base64
import datetime as dt
import ipaddress
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.kube import kubeconfig
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import Client
from ansible_collections.kontrol.platform.tests.unit.stub_api import StubApi

EXEC: dict[str, Any] = {"apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/true"}


def authority(folder: Path, name: str) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    return issue(folder, name, None, key), key


def issue(
    folder: Path,
    name: str,
    issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None,
    key: ec.EllipticCurvePrivateKey,
) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(address, critical=False)
    )
    certificate = builder.sign(issuer[1] if issuer else key, hashes.SHA256())
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate


def pair(folder: Path, name: str, issuer: tuple[x509.Certificate, ec.EllipticCurvePrivateKey]) -> None:
    issue(folder, name, issuer, ec.generate_private_key(ec.SECP256R1()))


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    root = authority(folder, "ca")
    authority(folder, "other-ca")
    pair(folder, "server", root)
    pair(folder, "client", root)
    return folder


def data(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def write(folder: Path, cluster: dict[str, Any], user: dict[str, Any] | None = None, **extra: Any) -> str:
    path = folder / "kubeconfig"
    content = {
        "current-context": "c",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": user or {}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        **extra,
    }
    path.write_text(json.dumps(content))
    return str(path)


def plain(folder: Path, user: dict[str, Any] | None = None, **extra: Any) -> str:
    return write(folder, {"server": "http://127.0.0.1:1"}, user, **extra)


class TestTls:
    @pytest.mark.parametrize("inline", [True, False])
    @pytest.mark.parametrize("memory", [True, False])
    def test_client_certificate(
        self, pki: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inline: bool, memory: bool
    ) -> None:
        if not memory:
            monkeypatch.delattr("os.memfd_create")
        with StubApi(certificate=(pki / "server.crt", pki / "server.key", pki / "ca.crt")) as api:
            files = {"client-certificate": "client.crt", "client-key": "client.key"}
            user = {f"{key}-data": data(pki / name) for key, name in files.items()}
            if not inline:
                user = {key: str(pki / name) for key, name in files.items()}
            path = write(tmp_path, {"server": api.url, "certificate-authority-data": data(pki / "ca.crt")}, user)
            client = Client(kubeconfig.load(path))
            assert client.get("/api/v1/namespaces/kontrol-system")["kind"] == "Namespace"
            client.close()
        assert [entry.name for entry in tmp_path.iterdir()] == ["kubeconfig"]

    def test_another_authority_is_not_trusted(self, pki: Path, tmp_path: Path) -> None:
        with StubApi(certificate=(pki / "server.crt", pki / "server.key", pki / "ca.crt")) as api:
            path = write(tmp_path, {"server": api.url, "certificate-authority-data": data(pki / "other-ca.crt")})
            with pytest.raises(KontrolError, match=r"is not trusted: its certificate is not the one.*another cluster"):
                Client(kubeconfig.load(path)).get("/api/v1")

    def test_plain_http_behind_https(self, pki: Path, api: StubApi, tmp_path: Path) -> None:
        url = api.url.replace("http:", "https:")
        path = write(tmp_path, {"server": url, "certificate-authority-data": data(pki / "ca.crt")})
        with pytest.raises(KontrolError, match="cannot be talked to over TLS"):
            Client(kubeconfig.load(path)).get("/api/v1")

    def test_a_certificate_without_its_key(self, pki: Path, tmp_path: Path) -> None:
        cluster = {"server": "https://127.0.0.1:1", "certificate-authority": str(pki / "ca.crt")}
        path = write(tmp_path, cluster, {"client-certificate": str(pki / "client.crt")})
        with pytest.raises(KontrolError, match="belong together; one is missing"):
            kubeconfig.load(path)

    def test_a_pair_that_does_not_fit(self, pki: Path, tmp_path: Path) -> None:
        cluster = {"server": "https://127.0.0.1:1", "certificate-authority": str(pki / "ca.crt")}
        user = {"client-certificate": str(pki / "client.crt"), "client-key": str(pki / "server.key")}
        with pytest.raises(KontrolError, match="are not a PEM pair"):
            kubeconfig.load(write(tmp_path, cluster, user))

    @pytest.mark.parametrize(
        ("cluster", "text"),
        [
            ({}, "has no 'certificate-authority-data', so its server cannot be verified"),
            ({"certificate-authority-data": "***"}, "'certificate-authority-data' is not base64"),
            ({"certificate-authority-data": base64.b64encode(b"x").decode()}, "is not a PEM certificate"),
            ({"certificate-authority": "missing.crt"}, "names a file that cannot be read: No such file"),
            ({"insecure-skip-tls-verify": True}, "'insecure-skip-tls-verify' of the cluster is not supported"),
            ({"proxy-url": "http://x"}, "'proxy-url' of the cluster is not supported"),
            ({"tls-server-name": "x"}, "'tls-server-name' of the cluster is not supported"),
        ],
    )
    def test_what_is_refused(self, tmp_path: Path, cluster: dict[str, Any], text: str) -> None:
        with pytest.raises(KontrolError, match=text):
            kubeconfig.load(write(tmp_path, {"server": "https://127.0.0.1:1", **cluster}))


@pytest.mark.parametrize(
    "server", ["", "127.0.0.1:6443", "ftp://x", "https://x/path", "https://x?q=1", "http://example.test:80"]
)
def test_odd_addresses_are_refused(tmp_path: Path, server: str) -> None:
    with pytest.raises(KontrolError, match=r"Kubeconfig '.*' cannot be used: server"):
        kubeconfig.load(write(tmp_path, {"server": server}))


@pytest.mark.parametrize(
    ("user", "text"),
    [
        ({"auth-provider": {"name": "gcp"}}, "'auth-provider' of the user is not supported; known are"),
        ({"username": "x", "password": "CANARY"}, "'password, username' of the user is not supported"),
        ({"exec": {**EXEC, "apiVersion": "client.authentication.k8s.io/v1beta1"}}, "v1beta1' is not supported"),
        ({"exec": {**EXEC, "command": "aws"}}, "exec helper 'aws' must be an absolute path"),
        ({"exec": {**EXEC, "provideClusterInfo": True}}, "'provideClusterInfo' of the exec helper is not supported"),
        ({"exec": EXEC, "token": "CANARY"}, "has an exec helper beside another credential"),
    ],
)
def test_unknown_credentials_are_refused(tmp_path: Path, user: dict[str, Any], text: str) -> None:
    with pytest.raises(KontrolError, match=text) as caught:
        kubeconfig.load(plain(tmp_path, user))
    assert "CANARY" not in str(caught.value)


def test_files_that_are_no_kubeconfig(tmp_path: Path) -> None:
    path = tmp_path / "k"
    with pytest.raises(KontrolError, match="No such file"):
        kubeconfig.load(str(path))
    path.write_text("a: [CANARY")
    with pytest.raises(KontrolError, match=r"it is not YAML$"):
        kubeconfig.load(str(path))
    path.write_text("- a")
    with pytest.raises(KontrolError, match="it is not a mapping"):
        kubeconfig.load(str(path))
    path.write_text("current-context: x")
    with pytest.raises(KontrolError, match="context 'x' is not in it"):
        kubeconfig.load(str(path))


def test_the_mark_of_a_run(tmp_path: Path) -> None:
    mark = {"name": "kontrol.run", "extension": {"run": "20261125T000000Z-abcd", "region": "local"}}
    path = plain(tmp_path, extensions=[{"name": "x", "extension": {}}, mark])
    assert kubeconfig.load(path).mark == kubeconfig.RunMark("20261125T000000Z-abcd", "local")
    assert kubeconfig.load(plain(tmp_path)).mark is None


def test_the_environment_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", plain(tmp_path))
    with pytest.raises(KontrolError, match="No such file"):
        kubeconfig.load(str(tmp_path / "other"))


class Helper:
    """An exec helper that counts its calls in a file."""

    def __init__(self, folder: Path, body: str) -> None:
        self.calls = folder / "calls"
        self.script = folder / "helper"
        self.script.write_text(f"#!/bin/sh\necho x >> {self.calls}\n{body}\n")
        self.script.chmod(self.script.stat().st_mode | stat.S_IXUSR)

    @property
    def count(self) -> int:
        return len(self.calls.read_text().splitlines()) if self.calls.exists() else 0


def credential(token: str, expires: str | None = None) -> str:
    status = {"token": token} | ({"expirationTimestamp": expires} if expires else {})
    return f"echo '{json.dumps({'status': status})}'"


class TestExecHelper:
    def test_the_token_is_renewed_before_it_expires(self, tmp_path: Path) -> None:
        """B105: tokens of 30 s, a step of 90 s."""
        clock = [1_000_000.0]
        expiry = dt.datetime.fromtimestamp(clock[0] + 30, dt.UTC).isoformat().replace("+00:00", "Z")
        helper = Helper(tmp_path, credential("one", expiry))
        token = kubeconfig.ExecToken([str(helper.script)], {}, now=lambda: clock[0])
        assert token.get() == token.get() == "one"
        assert helper.count == 1
        clock[0] += 19
        token.get()
        assert helper.count == 1
        clock[0] += 2
        token.get()
        assert helper.count == 2

    def test_a_refused_token_is_fetched_once_more(self, tmp_path: Path) -> None:
        helper = Helper(tmp_path, credential("right"))
        with StubApi(token="right") as api:
            path = write(tmp_path, {"server": api.url}, {"exec": {**EXEC, "command": str(helper.script)}})
            client = Client(kubeconfig.load(path))
            api.fail("GET", "", 401, "Unauthorized")
            assert client.get("/api/v1/namespaces/kontrol-system")
            assert helper.count == 2
            api.fail("GET", "", 401, "Unauthorized", times=9)
            with pytest.raises(KontrolError, match="401"):
                client.get("/api/v1/namespaces/kontrol-system")
            assert helper.count == 3
            client.close()

    def test_its_environment_is_scrubbed(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KUBECONFIG", "/x")
        monkeypatch.setenv("K8S_AUTH_TOKEN", "x")
        helper = Helper(tmp_path, f'env > {tmp_path}/env; echo "$@" >> {tmp_path}/env; {credential("t")}')
        spec = {
            **EXEC,
            "command": str(helper.script),
            "args": ["eks", "get-token"],
            "env": [{"name": "REGION", "value": "b"}],
        }
        kubeconfig.load(plain(tmp_path, {"exec": spec})).token.get()
        seen = (tmp_path / "env").read_text()
        assert "REGION=b" in seen
        assert "eks get-token" in seen
        assert "KUBERNETES_EXEC_INFO=" in seen
        assert "KUBECONFIG=" not in seen
        assert "K8S_AUTH" not in seen

    @pytest.mark.parametrize(
        ("body", "text"),
        [
            ("echo broken >&2; exit 3", "ended with 3: broken"),
            ("echo nonsense", "printed no client.authentication.k8s.io/v1 credential"),
            ('echo \'{"status": {"clientCertificateData": "x"}}\'', "gave no token"),
        ],
    )
    def test_failures(self, tmp_path: Path, body: str, text: str) -> None:
        helper = Helper(tmp_path, body)
        with pytest.raises(KontrolError, match=f"Exec helper '{helper.script}'.*{text}"):
            kubeconfig.ExecToken([str(helper.script)], {}).get()

    def test_a_helper_that_is_not_there(self) -> None:
        with pytest.raises(KontrolError, match="cannot be run: FileNotFoundError"):
            kubeconfig.ExecToken(["/no/such/helper"], {}).get()
