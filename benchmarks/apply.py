"""How fast is the engine: `kontrol.platform.apply` beside kubectl and kubernetes.core, on a real API server.

    python benchmarks/apply.py --kubeconfig FILE [--json FILE] [--objects 1,200,1000] [--latency 0,10] [--repeat 5]

What is measured (every figure is the median of the repetitions):

- create: N new objects in an empty namespace. The clock starts before the program is started and stops when it has
  ended: for kontrol and kubernetes.core that is the whole of ansible-playbook, for kubectl the whole of kubectl.
- noop: the same objects once more, measured in the same way.
- noop without start (tool `kontrol-engine`): the engine alone, in a Python process that is already running; from the
  parsed objects, through new connections and discovery, to the verdicts.

Tools: `kontrol`; `kubectl` (`apply --server-side`, by path, its discovery cache warm); `kubernetes.core` (one task with
a list of objects and server-side apply, its discovery cache warm). Ours has no discovery cache to warm.

The mix, of 20 objects: 6 ConfigMaps of 1 KiB, 4 Secrets, 3 ServiceAccounts, 3 Services, 2 Roles, 2 Deployments without
pods; N = 1 is a ConfigMap. Latency is added by a TCP proxy on loopback, half of it in each direction.

`server_cpu_seconds` is what kube-apiserver and etcd used meanwhile, those of all clusters on this machine (so let there
be one; null when their processes cannot be seen). Where it and the tool's own come near to seconds x cores, the server
is the limit and no client can be much faster. When something else also uses the
machine, the figures say little: look at the load that is printed first.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from ansible.plugins.loader import init_plugin_loader
from ansible.utils.collection_loader import AnsibleCollectionConfig

ROOT = Path(__file__).resolve().parents[1]
if AnsibleCollectionConfig.collection_finder is None:  # the tests have one already
    init_plugin_loader([str(ROOT / "collections")])

from ansible_collections.kontrol.platform.plugins.module_utils.kube import kubeconfig as kubeconfigs  # noqa: E402 - it is found from here on
from ansible_collections.kontrol.platform.plugins.module_utils.kube.client import ApiError, Client  # noqa: E402 - it is found from here on
from ansible_collections.kontrol.platform.plugins.module_utils.paths import state_root  # noqa: E402 - it is found from here on

Object = dict[str, Any]
NAMESPACE = "kontrol-benchmark"
COLLECTIONS = (
    "/apis/apps/v1/namespaces/{}/deployments",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "/api/v1/namespaces/{}/services",
    "/api/v1/namespaces/{}/secrets",
    "/api/v1/namespaces/{}/configmaps",
    "/api/v1/namespaces/{}/serviceaccounts",
)
PLAYS = {
    "kontrol": "kontrol.platform.apply: {kubeconfig: '{{ kubeconfig }}', definitions: '{{ objects }}'}",
    "kubernetes.core": "kubernetes.core.k8s: {kubeconfig: '{{ kubeconfig }}', definition: '{{ objects }}', "
    "apply: true, server_side_apply: {field_manager: kontrol}}",
}
ENGINE = """
import json, sys, time
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([sys.argv[1]])
from ansible_collections.kontrol.platform.plugins.module_utils.kube import apply, objects, session
wanted = json.load(open(sys.argv[3]))["items"]
began, cpu = time.perf_counter(), time.process_time()
with session.connected(sys.argv[2]) as client:
    report = apply.Applier(client, objects.prepare(wanted), apply.Options()).run()
took, used = time.perf_counter() - began, time.process_time() - cpu
print(json.dumps([took, used, report.changed]))
"""


class Sample(NamedTuple):
    """One measurement, in seconds: wall clock, CPU of the tool, CPU of the API server and etcd (or None)."""

    seconds: float
    cpu: float
    server: float | None


@dataclass
class Row:
    """One line of the result."""

    objects: int
    latency_ms: int
    case: str
    tool: str
    seconds: float
    cpu_seconds: float
    server_cpu_seconds: float | None
    ratio_to_kubectl: float | None = None


# What is applied --------------------------------------------------------------------------------------------------


def _one(number: int) -> Object:
    """Return one object of the mix."""
    meta = {"name": f"bench-{number:04}", "namespace": NAMESPACE, "labels": {"app": "bench", "part": str(number % 7)}}
    kind = "CCCCCCSSSSAAAVVVRRDD"[number % 20]
    text = f"{number:04} " * 205
    bodies: dict[str, Object] = {
        "C": {"apiVersion": "v1", "kind": "ConfigMap", "data": {"config.xml": text[:1024]}},
        "S": {
            "apiVersion": "v1",
            "kind": "Secret",
            "data": {"password": base64.b64encode(text[:24].encode()).decode()},
        },
        "A": {"apiVersion": "v1", "kind": "ServiceAccount", "automountServiceAccountToken": False},
        "V": {
            "apiVersion": "v1",
            "kind": "Service",
            "spec": {"selector": {"app": "bench"}, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]},
        },
        "R": {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "Role",
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}],
        },
        "D": _deployment(),
    }
    return {**bodies[kind], "metadata": meta}


def _deployment() -> Object:
    container = {"name": "main", "image": "example.test/none:1", "ports": [{"containerPort": 8080}]}
    template = {"metadata": {"labels": {"app": "bench"}}, "spec": {"containers": [container]}}
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "bench"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}


# The proxy --------------------------------------------------------------------------------------------------------


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Copy bytes, each a fixed time after it came; what follows is not held up by what waits."""
    waiting: deque[tuple[float, bytes]] = deque()
    arrived = asyncio.Event()

    async def send() -> None:
        while True:
            while not waiting:
                arrived.clear()
                await arrived.wait()
            due, data = waiting.popleft()
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            if not data:
                writer.close()
                return
            writer.write(data)

    sender = asyncio.create_task(send())
    data = b"x"
    while data:
        try:
            data = await reader.read(262_144)
        except ConnectionError:
            data = b""
        waiting.append((time.monotonic() + delay, data))
        arrived.set()
    await sender


async def _serve(port: int, delay: float, ready: Callable[[int], None]) -> None:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pump(reader, up_writer, delay), _pump(up_reader, writer, delay), return_exceptions=True)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    ready(server.sockets[0].getsockname()[1])
    await server.serve_forever()


def start_proxy(port: int, latency_ms: int) -> int:
    """Start a proxy in front of a local port and return its own port; it lives as long as this program."""
    found: list[int] = []
    ready = threading.Event()

    def tell(number: int) -> None:
        found.append(number)
        ready.set()

    work = threading.Thread(target=lambda: asyncio.run(_serve(port, latency_ms / 2000, tell)), daemon=True)
    work.start()
    ready.wait(10)
    return found[0]


# Measuring --------------------------------------------------------------------------------------------------------


def server_cpu() -> float | None:
    """Return the CPU seconds that kube-apiserver and etcd have used, None when they cannot be seen."""
    ticks, seen = 0, False
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().rpartition(")")
        except OSError:
            continue  # it has ended
        if name.rpartition("(")[2] in {"kube-apiserver", "etcd"}:
            fields = rest.split()
            ticks, seen = ticks + int(fields[11]) + int(fields[12]), True
    return ticks / os.sysconf("SC_CLK_TCK") if seen else None


def timed(argv: list[str], env: dict[str, str]) -> tuple[Sample, str]:
    """Run a program to its end; fail when it fails."""
    with tempfile.TemporaryFile("w+") as output:
        server, began = server_cpu(), time.perf_counter()
        child = subprocess.Popen(argv, env=env, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(child.pid, 0)
        seconds, after = time.perf_counter() - began, server_cpu()
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if child.returncode:
        raise SystemExit(f"{argv[0]} failed with {child.returncode}:\n{text[-3000:]}")
    used = None if server is None or after is None else after - server
    return Sample(seconds, usage.ru_utime + usage.ru_stime, used), text


class Bench:
    """Measures the tools on one API server.

    Args:
        folder: For files.
        kubeconfig: Of the API server, direct.
        kubectl: Path of kubectl.
    """

    def __init__(self, folder: Path, kubeconfig: Path, kubectl: str) -> None:
        self.folder, self.kubectl = folder, kubectl
        self.config: Object = yaml.safe_load(kubeconfig.read_text())
        self.client = Client(kubeconfigs.load(str(kubeconfig)))
        self.env = {"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8"}
        self.env["ANSIBLE_CONFIG"] = str(folder / "ansible.cfg")
        (folder / "ansible.cfg").write_text(f"[defaults]\ncollections_path = {ROOT / 'collections'}\n")
        for tool, task in PLAYS.items():
            play = f"- hosts: localhost\n  gather_facts: false\n  tasks:\n    - {task}\n"
            (folder / f"{tool}.yml").write_text(play)
        (folder / "engine.py").write_text(ENGINE)

    def kubeconfig(self, latency_ms: int) -> Path:
        """Return a kubeconfig that leads through a proxy with this latency; 0 is direct."""
        path = self.folder / f"kubeconfig-{latency_ms}"
        config = json.loads(json.dumps(self.config))
        if latency_ms:
            port = start_proxy(self.client.connection.port, latency_ms)
            for cluster in config["clusters"]:
                cluster["cluster"]["server"] = f"https://127.0.0.1:{port}"
        path.touch(mode=0o600)
        path.write_text(json.dumps(config))
        return path

    def write_objects(self, count: int) -> Path:
        """Write the objects as one list."""
        path = self.folder / f"objects-{count}.json"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": [_one(n) for n in range(count)]}))
        return path

    @contextmanager
    def namespace(self) -> Iterator[None]:
        """Make the namespace, empty, and remove it with all that is in it."""
        self.remove()
        path = f"/api/v1/namespaces/{NAMESPACE}"
        self.client.apply(path, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        time.sleep(1.0)  # its default ServiceAccount and ConfigMap are made meanwhile
        yield
        self.remove()

    def remove(self) -> None:
        """Remove the namespace and wait until it is gone."""
        path = f"/api/v1/namespaces/{NAMESPACE}"
        if self.client.find(path) is None:
            return
        for collection in COLLECTIONS:
            try:
                self.client.request("DELETE", collection.format(NAMESPACE))
            except ApiError as error:
                if error.status != 405:  # a Service cannot be deleted by collection everywhere
                    raise
        self.client.request("DELETE", path)
        while self.client.find(path) is not None:
            time.sleep(0.3)

    def run(self, tool: str, kubeconfig: Path, objects: Path) -> Sample:
        """Apply the objects once with a tool."""
        if tool == "kubectl":
            cache = ["--kubeconfig", str(kubeconfig), "--cache-dir", str(self.folder / "kubectl")]
            return timed([self.kubectl, *cache, "apply", "--server-side", "-f", str(objects)], self.env)[0]
        if tool == "kontrol-engine":
            argv = [sys.executable, str(self.folder / "engine.py"), str(ROOT / "collections")]
            sample, text = timed([*argv, str(kubeconfig), str(objects)], self.env)
            seconds, cpu, changed = json.loads(text.splitlines()[-1])
            if changed:
                raise SystemExit("The engine says that a no-op changed something")
            return Sample(seconds, cpu, sample.server)
        values = {"kubeconfig": str(kubeconfig), "ansible_python_interpreter": sys.executable}
        extra = self.folder / "vars.yml"
        lookup = f"{{{{ (lookup('ansible.builtin.file', '{objects}') | from_json)['items'] }}}}"
        extra.write_text(json.dumps({**values, "objects": lookup}))
        program = str(Path(sys.executable).with_name("ansible-playbook"))
        return timed([program, "-e", f"@{extra}", str(self.folder / f"{tool}.yml")], self.env)[0]


def median(samples: list[Sample]) -> Sample:
    """Return the medians of the columns."""
    servers = [sample.server for sample in samples if sample.server is not None]
    return Sample(
        statistics.median(sample.seconds for sample in samples),
        statistics.median(sample.cpu for sample in samples),
        statistics.median(servers) if servers else None,
    )


def measure(bench: Bench, options: argparse.Namespace, count: int, latency: int, kubeconfig: Path) -> list[Row]:
    """Measure all tools for one number of objects and one latency; tools take turns in each repetition."""
    objects = bench.write_objects(count)
    samples: dict[tuple[str, str], list[Sample]] = {}
    for _ in range(options.repeat):
        for tool in options.tools:
            with bench.namespace():
                samples.setdefault(("create", tool), []).append(bench.run(tool, kubeconfig, objects))
                samples.setdefault(("noop", tool), []).append(bench.run(tool, kubeconfig, objects))
                if tool == "kontrol":
                    key = ("noop", "kontrol-engine")
                    samples.setdefault(key, []).append(bench.run("kontrol-engine", kubeconfig, objects))
    rows = []
    for (case, tool), many in samples.items():
        middle = median(many)
        server = None if middle.server is None else round(middle.server, 3)
        rows.append(Row(count, latency, case, tool, round(middle.seconds, 3), round(middle.cpu, 3), server))
    base = {row.case: row.seconds for row in rows if row.tool == "kubectl"}
    for row in rows:
        row.ratio_to_kubectl = round(row.seconds / base[row.case], 3) if row.case in base else None
    return rows


def show(row: Row) -> None:
    """Print one line."""
    server = "-" if row.server_cpu_seconds is None else f"{row.server_cpu_seconds:7.2f}"
    ratio = "-" if row.ratio_to_kubectl is None else f"{row.ratio_to_kubectl:6.2f}"
    print(
        f"{row.objects:5} objects {row.latency_ms:3} ms {row.case:6} {row.tool:15} {row.seconds:8.3f} s "
        f"cpu {row.cpu_seconds:7.2f} s server {server} s ratio {ratio}",
        flush=True,
    )


def numbers(text: str) -> list[int]:
    """Read numbers separated by commas."""
    return [int(part) for part in text.split(",")]


def pinned_kubectl() -> str:
    """Return the kubectl of the lab, or the one on PATH."""
    facts = state_root() / "lab.json"
    known = json.loads(facts.read_text())["tools"].get("kubectl") if facts.exists() else None
    return str(known or shutil.which("kubectl") or "kubectl")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--kubeconfig", type=Path, required=True, help="of a cluster on 127.0.0.1 that may be written to"
    )
    parser.add_argument("--kubectl", default=pinned_kubectl(), help="path of kubectl (default: the lab's)")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    parser.add_argument("--objects", type=numbers, default=[1, 200, 1000])
    parser.add_argument("--latency", type=numbers, default=[0, 10], help="added milliseconds per round trip")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--tools", type=lambda text: text.split(","), default=["kubectl", "kontrol", "kubernetes.core"])
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, kubectl {options.kubectl}", flush=True)
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="kontrol-benchmark-") as folder:
        bench = Bench(Path(folder), options.kubeconfig, options.kubectl)
        for latency in options.latency:
            kubeconfig = bench.kubeconfig(latency)
            with bench.namespace():  # warms the discovery caches of this address
                for tool in options.tools:
                    bench.run(tool, kubeconfig, bench.write_objects(1))
            for count in options.objects:
                found = measure(bench, options, count, latency, kubeconfig)
                rows += found
                for row in found:
                    show(row)
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
