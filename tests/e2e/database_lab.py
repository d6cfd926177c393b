"""ClickHouse and two backup stores as containers on a network of their own: backups by the tools, without a cluster.

Between server and store stands a relay, which can be slow, or answer 500; a second store is nearly full.
"""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
import uuid
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Final

import pytest

from images.tools.kontrol_tools import backups, s3
from images.tools.kontrol_tools.clickhouse import Client
from images.tools.kontrol_tools.errors import ToolError
from tests.e2e.harness import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PASSWORD: Final = "CANARY-admin"
STORE_SECRET: Final = "CANARY-store"
DATABASES: Final = ["market", "orders"]
USERS: Final = f"""<clickhouse><users><default remove="remove"/>
<admin><password>{PASSWORD}</password><networks><ip>::/0</ip></networks></admin></users></clickhouse>"""
COLLECTION: Final = """<{name}><url>{url}/kontrol/clickhouse/</url><access_key_id>key</access_key_id>
<secret_access_key>{secret}</secret_access_key></{name}>"""
TABLES: Final = (
    "CREATE DATABASE market",
    "CREATE DATABASE orders",
    "CREATE DATABASE IF NOT EXISTS kontrol_verify",
    """CREATE TABLE market.trades (at DateTime('UTC'), id UInt64, price Decimal(18, 6), note Nullable(String),
    hint Nullable(String) TTL at + INTERVAL 1 DAY) ENGINE = MergeTree PARTITION BY toYYYYMM(at) ORDER BY id
    TTL toDateTime(at, 'UTC') + INTERVAL 40 DAY DELETE, at + INTERVAL 41 DAY DELETE WHERE id = 1""",
    "CREATE TABLE market.book (id UInt32, v UInt32, bid Float64) ENGINE = ReplacingMergeTree(v) ORDER BY id",
    """CREATE TABLE market.bars (id UInt32, trades AggregateFunction(uniq, UInt64),
    price AggregateFunction(avg, Float64), ids AggregateFunction(groupUniqArray, UInt64),
    total SimpleAggregateFunction(sum, Float64))
    ENGINE = AggregatingMergeTree ORDER BY id""",
    """CREATE MATERIALIZED VIEW market.volume ENGINE = SummingMergeTree ORDER BY day
    AS SELECT toDate(at) AS day, toFloat64(sum(price)) AS total FROM market.trades GROUP BY day""",
    "CREATE VIEW market.latest AS SELECT max(at) AS at FROM market.trades",
    "CREATE TABLE market.notes (id UInt32, note String) ENGINE = Log",
    "CREATE TABLE orders.orders (id UInt64, state LowCardinality(String), more JSON) ENGINE = MergeTree ORDER BY id",
    "CREATE TABLE orders.empty (id UInt64) ENGINE = MergeTree ORDER BY id",
    """CREATE TABLE kontrol_verify.canary (written DateTime('UTC'), id UUID) ENGINE = MergeTree
    ORDER BY (written, id) TTL written + INTERVAL 30 DAY""",
)
ROWS: Final = (
    # a row in ten minutes, back to 45 days before now, so that TTL may drop the oldest at any moment
    """INSERT INTO market.trades SELECT now() - 600 * number, number + {n} * 100000, number / 7,
    if(number % 3 = 0, NULL, toString(cityHash64(number))), 'x' FROM numbers(6480)""",
    "INSERT INTO market.book SELECT number % 500, number + {n}, number / 3 FROM numbers(2000)",
    """INSERT INTO market.bars SELECT number % 50 AS id, uniqState(number), avgState(number / 7),
    groupUniqArrayState(number), sum(number / 7) FROM numbers(5000) GROUP BY id""",
    "INSERT INTO market.notes SELECT number + {n}, 'note' FROM numbers(10)",
    """INSERT INTO orders.orders SELECT number + {n} * 100000, 'open', concat('{{"a":', toString(number), '}}')
    FROM numbers(5000)""",
    "INSERT INTO kontrol_verify.canary SELECT now() - number, generateUUIDv4() FROM numbers(100)",
)


def docker(*arguments: str) -> str:
    """Run docker and return what it prints."""
    return subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=True, timeout=120
    ).stdout.strip()


@dataclass
class Relay:
    """Passes requests on to a store; `trouble(number, method)` tells what to do to one: "", "500", or seconds."""

    target: str
    trouble: Callable[[int, str], str] = lambda number, method: ""
    seen: int = 0
    failed: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def decide(self, method: str) -> str:
        """Count a request and return what to do to it."""
        with self.lock:
            self.seen += 1
            trouble = self.trouble(self.seen, method)
            self.failed += trouble == "500"
            return trouble

    @contextmanager
    def troubled(self, trouble: Callable[[int, str], str]) -> Iterator[None]:
        """Make trouble while the block runs."""
        self.seen = self.failed = 0
        self.trouble = trouble
        try:
            yield
        finally:
            self.trouble = lambda number, method: ""

    def handler(self) -> type[BaseHTTPRequestHandler]:
        """Return what answers."""
        relay = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def relay(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                trouble = relay.decide(self.command)
                if trouble == "500":
                    self.answer(500, [], b"<Error><Code>InternalError</Code></Error>")
                    return
                time.sleep(float(trouble or "0"))
                connection = http.client.HTTPConnection(relay.target, timeout=30)
                connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in ("connection", "expect"):
                        connection.putheader(name, value)
                connection.endheaders(body)
                answer = connection.getresponse()
                self.answer(answer.status, answer.getheaders(), answer.read())
                connection.close()

            def answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
                self.send_response_only(status)
                for name, value in headers:
                    if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                        self.send_header(name, value)
                length = {name.lower(): value for name, value in headers}.get("content-length", str(len(body)))
                self.send_header("Content-Length", length if self.command == "HEAD" else str(len(body)))
                self.end_headers()
                with suppress(OSError):
                    self.wfile.write(b"" if self.command == "HEAD" else body)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = relay  # noqa: N815 - names of the base class

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
                """Log nothing."""

        return Handler


class _Quiet(ThreadingHTTPServer):
    """A server that does not tell of clients that were killed."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Tell nothing."""


@contextmanager
def relaying(relay: Relay, network: str) -> Iterator[str]:
    """Let a relay listen where containers of a network reach it, and give its address, while the block runs."""
    ranges = json.loads(docker("network", "inspect", network))[0]["IPAM"]["Config"]
    gateway = next(one["Gateway"] for one in ranges if "." in one["Gateway"])
    with _Quiet((gateway, 0), relay.handler()) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://{gateway}:{server.server_address[1]}"
        server.shutdown()


@dataclass
class DatabaseLab:
    """A server, its store behind a relay, and a store with hardly any room."""

    name: str
    folder: Path
    relay: Relay
    endpoint: str
    small: str
    port: int
    mark: int = 0

    def known_as(self, name: str) -> str:
        """Return the id of a backup of the running test: a server keeps in mind what it read of an id."""
        return f"t{self.mark:03}-{name}"

    def plain(self, said: Any) -> Any:
        """Return a result or text with the names of backups that the test uses."""
        return json.loads(json.dumps(said).replace(f"t{self.mark:03}-", ""))

    @property
    def client(self) -> Client:
        """The administrator."""
        return Client("127.0.0.1", self.port, "admin", PASSWORD, timeout=60)

    @property
    def place(self) -> backups.Place:
        """Where the backups lie."""
        return backups.Place(s3.Store(self.endpoint, "us-east-1", "key", STORE_SECRET), "kontrol", "clickhouse")

    def step(self, **more: Any) -> dict[str, Any]:
        """Return the arguments of a command."""
        login = {
            "host": "127.0.0.1",
            "port": self.port,
            "user": "admin",
            "password_file": str(self.folder / "password"),
        }
        keys = {"access_key_file": str(self.folder / "access"), "secret_key_file": str(self.folder / "secret")}
        place = {"endpoint": self.endpoint, "bucket": "kontrol", "collection": "backup_store"}
        return {**login, **keys, **place, "databases": DATABASES, "patience": 60, "settle": 20, **more}

    def tool(self, command: str, **more: Any) -> subprocess.Popen[str]:
        """Start a command as its Job does: a process that can be killed."""
        file = self.folder / f"{uuid.uuid4().hex}.json"
        file.write_text(json.dumps({"steps": [self.step(name="step", command=command, **more)]}), encoding="utf-8")
        argv = [sys.executable, "-m", "kontrol_tools", "--args", str(file)]
        return subprocess.Popen(argv, cwd=ROOT / "images" / "tools", stdout=subprocess.PIPE, text=True)

    def empty(self) -> None:
        """Drop everything, in the server and in its store."""
        self.mark += 1
        for row in self.client.rows("SELECT name FROM system.databases"):
            if row["name"].startswith("kontrol_") or row["name"] in (*DATABASES, "aside"):
                self.client.query(f"DROP DATABASE IF EXISTS {row['name']} SYNC")
        for bucket in ("kontrol", "kontrol-locks"):
            for key in s3.keys(self.place.store, bucket, ""):
                s3.delete(self.place.store, bucket, key)

    def fill(self, number: int = 0) -> None:
        """Insert rows into each table."""
        for statement in ROWS:
            self.client.query(statement.format(n=number))

    def start_again(self) -> None:
        """Kill the server as a lost machine would, and start it."""
        docker("kill", "--signal", "KILL", f"{self.name}-db")
        docker("start", f"{self.name}-db")
        self.client.wait(30)


def wait_until(check: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something that must become true."""
    deadline = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < deadline, "It did not happen in time"
        time.sleep(0.05)


def start_store(name: str, network: str, image: str, *more: str, keys: tuple[str, str] = ("key", STORE_SECRET)) -> int:
    """Start a backup store and answer its port on this machine."""
    secrets = ["-e", f"ROOT_ACCESS_KEY={keys[0]}", "-e", f"ROOT_SECRET_KEY={keys[1]}"]
    where = ("--name", name, "--network", network, "-p", "127.0.0.1::7070")
    docker("run", "-d", *where, *secrets, *more, image, "--port", ":7070", "posix", "/data")
    return int(docker("port", name, "7070/tcp").rpartition(":")[2])


@contextmanager
def running(folder: Path, facts: dict[str, Any]) -> Iterator[DatabaseLab]:
    """Run all of it; nothing of it is left."""
    images = {name.rpartition("/")[2].partition(":")[0]: name for name in facts["images"]}
    pulled = {short: name.replace("docker.io", facts["registry"]) for short, name in images.items()}
    name = f"kontrol-backup-test-{uuid.uuid4().hex[:6]}"
    docker("network", "create", name)
    try:
        store = start_store(f"{name}-store", name, pulled["versitygw"], "--tmpfs", "/data:mode=1777,size=200m")
        small = start_store(f"{name}-small", name, pulled["versitygw"], "--tmpfs", "/data:mode=1777,size=3m")
        relay = Relay(f"127.0.0.1:{store}")
        with relaying(relay, name) as endpoint:
            small_endpoint = f"http://127.0.0.1:{small}"
            _write(folder, endpoint, f"http://{name}-small:7070")
            port = _free_port()
            mounts = [f"{folder}/{kind}.d:/etc/clickhouse-server/{kind}.d:ro" for kind in ("config", "users")]
            volumes = [word for mount in mounts for word in ("--volume", mount)]
            docker(
                "run",
                "-d",
                "--name",
                f"{name}-db",
                "--network",
                name,
                "-p",
                f"127.0.0.1:{port}:8123",
                *volumes,
                pulled["clickhouse-server"],
            )
            lab = DatabaseLab(name, folder, relay, endpoint, small_endpoint, port)
            lab.client.wait(30)
            lab.place.ensure()
            yield lab
    finally:
        for container in (f"{name}-db", f"{name}-store", f"{name}-small"):
            subprocess.run(["docker", "rm", "--force", "--volumes", container], capture_output=True, check=False)
        subprocess.run(["docker", "network", "rm", name], capture_output=True, check=False)


def _free_port() -> int:
    """Return a port that stays the same when the container is started again, unlike one that docker chooses."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _write(folder: Path, endpoint: str, small: str) -> None:
    stores = {"backup_store": endpoint, "small_store": small}
    collections = [COLLECTION.format(name=name, url=url, secret=STORE_SECRET) for name, url in stores.items()]
    config = f"<clickhouse><named_collections>{''.join(collections)}</named_collections></clickhouse>"
    for path, text in (("config.d/store.xml", config), ("users.d/users.xml", USERS)):
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    secrets = {"password": PASSWORD, "access": "key", "secret": STORE_SECRET, "wrong": "CANARY-wrong"}
    for name, secret in secrets.items():
        (folder / name).write_text(secret, encoding="utf-8")
    for file in (folder, *folder.rglob("*")):
        file.chmod(0o755 if file.is_dir() else 0o644)  # the server is another user


def free_lock(lab: DatabaseLab) -> None:
    """Let the time pass that the lock of a dead process lives."""
    s3.delete(lab.place.store, lab.place.locks, lab.place.lock)


def refused(lab: DatabaseLab, call: Callable[[], Any]) -> str:
    """Return why a command refuses; no secret is in it."""
    with pytest.raises(ToolError) as caught:
        call()
    assert "CANARY" not in str(caught.value)
    return str(lab.plain(str(caught.value)))
