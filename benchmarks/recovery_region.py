"""The region that recovery.py measures: made, filled through its databases, restored by their own commands."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from images.tools.kontrol_tools.clickhouse import Client
from tests.e2e.harness import ROOT, Region

NAME = "bench"
SPEC = """\
region: {name: bench, driver: kind, profile: development, description: Measures what a restore costs}
cluster: {pod_cidr: 10.86.0.0/16, service_cidr: 10.186.0.0/16}
mesh: {}
clickhouse: {backup_schedule: ""} # no backup comes in between
neo4j: {backup_schedule: ""}
"""
CALLER = ("HOME", "PATH", "LANG", "LC_ALL", "TERM", "VIRTUAL_ENV", "XDG_STATE_HOME", "XDG_CACHE_HOME")
PATIENCE = 3600.0
CLICKHOUSE, NEO4J = "clickhouse", "neo4j"
DATABASES = ("market", "orders", "matches", "kontrol")
BATCH = 10_000
BLOCK = 1_000_000
FILL = {
    "market.trades": """INSERT INTO market.trades SELECT ['XNAS', 'XNYS', 'XETR', 'XLON'][number % 4 + 1],
        concat('I', toString(number % 50)), now64(9, 'UTC') - number / 20,
        now64(9, 'UTC') - number / 20 + rand(1) % 90 / 1000, toString(number), 100 + rand(2) % 100000 / 1000,
        1 + rand(3) % 500, if(rand(4) % 2, 'buy', 'sell') FROM numbers({first}, {count})""",
    "orders.events": """INSERT INTO orders.events SELECT concat('I', toString(number % 50)), rand(1) % 20000,
        generateUUIDv4(), number, now64(9, 'UTC') - number / 10,
        ['accepted', 'replaced', 'cancelled', 'filled'][number % 4 + 1], if(rand(2) % 2, 'buy', 'sell'), 'limit', 'gtc',
        if(number % 3 = 0, NULL, 100 + rand(3) % 100000 / 1000), 1 + rand(4) % 500, rand(5) % 500, ''
        FROM numbers({first}, {count})""",
}
NODES = {
    "Exchange": "{code: 'X' + i, country: ['DE', 'GB', 'US', 'JP'][i % 4]}",
    "Instrument": "{symbol: 'I' + i, kind: ['share', 'bond', 'fund'][i % 3], tick: 0.01 * (1 + i % 5)}",
    "Account": "{id: i, owner: 'o' + (i % 5000), opened: date('2015-01-01') + duration({days: i % 3650})}",
    "Route": "{id: i, venue: 'X' + (i % $exchanges), latency: i % 900}",
}
ENDS = {
    "LISTED_ON": ("Instrument {symbol: 'I' + (i % $many)}", "{since: date('2020-01-01') + duration({days: i % 1800})}"),
    "HELD_AT": (
        "Account {id: i % $many}",
        "{since: date('2019-01-01') + duration({days: i % 2000}), margin: i % 7 = 0}",
    ),
    "FROM": ("Route {id: i % $many}", ""),
    "TO": ("Route {id: i % $many}", "{priority: i % 10}"),
}
FILLER = """
import json, sys
from kontrol_tools.neo4j_database import Client
told = json.load(sys.stdin)
with Client("127.0.0.1", told["port"], "neo4j", told["password"]) as client:
    for first in range(0, told["count"], told["batch"]):
        last = min(first + told["batch"], told["count"]) - 1
        client.rows(told["statement"], first=first, last=last, **told["numbers"])
"""
BARE_LOAD = """
exec 2>&1
load() { neo4j-admin database load neo4j --from-path=/dump --overwrite-destination=true >/tmp/log 2>&1; }
TIMEFORMAT=%R
time load || { cat /tmp/log; exit 1; }
"""


@contextmanager
def made(keep: bool) -> Iterator[Region]:
    """Declare the region; what an earlier one has left goes first, and all of it goes at the end."""
    folder = Path(tempfile.mkdtemp(prefix="kontrol-benchmark-"))
    (folder / NAME).mkdir()
    (folder / NAME / "region.yml").write_text(SPEC, encoding="utf-8")
    environment = {name: value for name, value in os.environ.items() if name in CALLER}
    region = Region({**environment, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}, name=NAME, inventory=folder / NAME)
    try:
        if region.state.exists() or region.cluster in region.tool("kind", "get", "clusters").split():
            region.decommission().green()
        yield region
    finally:
        if keep:
            say(f"kept; its inventory is {region.inventory}")
        else:
            region.decommission().green()
            shutil.rmtree(region.state, ignore_errors=True)  # the records of its runs
            shutil.rmtree(folder)


def password(region: Region, database: str, user: str) -> str:
    """Return the password of a user of a database."""
    found = region.kubectl("get", "secret", f"{database}-login-{user}", "--namespace", database, "-o", "json")
    return base64.b64decode(json.loads(found)["data"]["password"]).decode()


@contextmanager
def clickhouse(region: Region) -> Iterator[Client]:
    """Give a client of ClickHouse, past its sidecar."""
    with region.forwarded(CLICKHOUSE, "clickhouse-0", 8123) as address:
        host, _, port = address.rpartition(":")
        yield Client(host, int(port), "admin", password(region, CLICKHOUSE, "admin"), timeout=PATIENCE)


def fill_tables(client: Client, rows: int) -> None:
    """Insert rows, a fifth of them events of orders, and wait until what comes of them is merged. Raises SystemExit."""
    for (table, statement), wanted in zip(FILL.items(), (rows - rows // 5, rows // 5), strict=True):
        for first in range(0, wanted, BLOCK):
            client.query(statement.format(first=first, count=min(BLOCK, wanted - first)))
        held = int(client.query(f"SELECT count() FROM {table}"))  # noqa: S608 - a name of ours
        if held < wanted:
            raise SystemExit(f"{table} holds {held} of {wanted} rows")
    end = time.monotonic() + 300
    while int(client.query("SELECT count() FROM system.merges")) and time.monotonic() < end:
        time.sleep(1)


def graph(nodes: int, relationships: int) -> list[tuple[str, int, dict[str, int]]]:
    """Return what fills the graph: statements, how many rows each makes, its numbers."""
    sizes = {"Exchange": max(1, nodes // 2000), "Instrument": nodes * 2 // 5, "Route": nodes // 5}
    sizes["Account"] = nodes - sum(sizes.values())
    numbers = {"exchanges": sizes["Exchange"]}
    unwind = "UNWIND range($first, $last) AS i"
    found = [(f"{unwind} CREATE (:{label} {NODES[label]})", sizes[label], numbers) for label in NODES]
    counts = {"LISTED_ON": relationships * 2 // 5, "FROM": relationships // 10, "TO": relationships // 10}
    counts["HELD_AT"] = relationships - sum(counts.values())
    for kind, (one, properties) in ENDS.items():
        other = "Exchange {code: 'X' + ((i + i / $many) % $exchanges)}"
        many = {**numbers, "many": sizes[one.partition(" ")[0]]}
        found.append(
            (f"{unwind} MATCH (a:{one}), (b:{other}) CREATE (a)-[:{kind} {properties}]->(b)", counts[kind], many)
        )
    return found


def fill_graph(region: Region, nodes: int, relationships: int) -> None:
    """Create nodes and relationships through the server, by the driver of the tools image."""
    ref = next(one for one in region.lab["images"] if "kontrol/tools:" in one)
    image = f"{region.lab['registry']}/kontrol/tools@{region.lab['images'][ref]}"
    program = ("run", "--rm", "--interactive", "--network", "host", "--entrypoint", "python3", image, "-c", FILLER)
    secret = password(region, NEO4J, NEO4J)
    with region.forwarded(NEO4J, "neo4j-0", 7687) as address:
        port = int(address.rpartition(":")[2])
        for statement, count, numbers in graph(nodes, relationships):
            told = {"port": port, "password": secret, "statement": statement, "count": count, "numbers": numbers}
            region.tool("docker", *program, text=json.dumps({**told, "batch": BATCH}))


# The bare commands ------------------------------------------------------------------------------------------------


def bare_restore(client: Client, backup: str) -> float:
    """Drop the databases and restore them by ClickHouse's own statements; return the seconds."""
    began = time.monotonic()
    for name in DATABASES:
        client.query(f"DROP DATABASE IF EXISTS {name} SYNC")
    what = ", ".join(f"DATABASE {name}" for name in DATABASES)
    client.query(f"RESTORE {what} FROM S3(backup_store, 'data/{backup}/')")
    return round(time.monotonic() - began, 2)


def loader(region: Region) -> dict[str, Any]:
    """Return a pod that waits beside the server, with its image, volume and limits, for `neo4j-admin`."""
    found = region.kubectl("get", "statefulset", "neo4j", "--namespace", NEO4J, "-o", "json")
    pod = json.loads(found)["spec"]["template"]["spec"]
    server = next(one for one in pod["containers"] if one["name"] == "neo4j")
    sources: dict[str, dict[str, Any]] = {
        "/data": {"persistentVolumeClaim": {"claimName": "data-neo4j-0"}},
        "/conf": {"configMap": {"name": "neo4j-config"}},
        **{path: {"emptyDir": {}} for path in ("/dump", "/logs", "/tmp")},  # noqa: S108 - a path in the pod
    }
    container = {
        "name": "load",
        "image": server["image"],
        "command": ["sleep", "infinity"],
        "env": [{"name": "NEO4J_CONF", "value": "/conf"}, {"name": "HEAP_SIZE", "value": "256m"}],
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": server["resources"]["limits"]},
        "securityContext": server["securityContext"],
        "volumeMounts": [{"name": path[1:], "mountPath": path} for path in sources],
    }
    spec = {
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": pod["securityContext"],
        "containers": [container],
        "volumes": [{"name": path[1:], **source} for path, source in sources.items()],
    }
    meta = {"name": "bench-load", "namespace": NEO4J, "labels": {"sidecar.istio.io/inject": "false"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def start_loader(region: Region, backup: str) -> None:
    """Start that pod and give it the dump of a backup, from the store's folder. Raises SystemExit."""
    region.kubectl("apply", "-f", "-", text=json.dumps(loader(region)))
    region.kubectl("wait", "--for=condition=Ready", "pod/bench-load", "--namespace", NEO4J, "--timeout=120s")
    [dump] = (region.state / "backups" / "data").glob(f"*/neo4j/data/{backup}.dump")
    with region.kubeconfig() as file, dump.open("rb") as content:
        argv = [region.lab["tools"]["kubectl"], "--kubeconfig", file, "exec", "--stdin", "--namespace", NEO4J]
        argv += ["bench-load", "--", "sh", "-c", "cat >/dump/neo4j.dump"]
        if subprocess.run(argv, stdin=content, check=False).returncode:
            raise SystemExit("The dump could not be copied into the pod")


def bare_load(region: Region) -> tuple[float, float, float]:
    """Stop the server, load the dump, start it; return the seconds of the load, of the start, and without a server."""
    began = time.monotonic()
    region.kubectl("scale", "statefulset/neo4j", "--namespace", NEO4J, "--replicas=0")
    region.kubectl("wait", "--for=delete", "pod/neo4j-0", "--namespace", NEO4J, "--timeout=280s")
    said = region.kubectl("exec", "bench-load", "--namespace", NEO4J, "--", "bash", "-c", BARE_LOAD)
    loaded = time.monotonic()
    region.kubectl("scale", "statefulset/neo4j", "--namespace", NEO4J, "--replicas=1")
    region.kubectl("rollout", "status", "statefulset/neo4j", "--namespace", NEO4J, "--timeout=280s")
    end = time.monotonic()
    return float(said), round(end - loaded, 1), round(end - began, 1)


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)
