"""What Neo4j's own programs make of a graph: dumped, carried, loaded and proven by the lab's images, with no cluster.

The scripts are those of the role's Jobs; only what stops and starts the server in a cluster is left out.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.harness import ROOT, Region

JOBS = yaml.safe_load((ROOT / "roles/neo4j/vars/main.yml").read_text(encoding="utf-8"))
CONFIGURATION = """\
server.directories.data=/data
server.directories.logs=/tmp
server.directories.run=/tmp
server.memory.heap.initial_size=256m
server.memory.heap.max_size=256m
server.memory.pagecache.size=32m
server.bolt.listen_address=0.0.0.0:7687
server.http.enabled=false
dbms.security.auth_enabled=false
dbms.usage_report.enabled=false
db.tx_log.preallocate=false
server.jvm.additional=--add-opens=java.base/java.nio=ALL-UNNAMED
server.jvm.additional=--add-opens=java.base/java.io=ALL-UNNAMED
server.jvm.additional=--add-opens=java.base/sun.nio.ch=ALL-UNNAMED
"""
SCRATCH = CONFIGURATION.replace("data=/data", "data=/scratch")
FILL = """
CREATE CONSTRAINT route IF NOT EXISTS FOR (r:Route) REQUIRE r.id IS UNIQUE;
UNWIND range(1, 500) AS i CREATE (:Account {id: i, name: 'a' + i, opened: date('2024-01-01') + duration({days: i})});
MATCH (a:Account), (b:Account {id: a.id + 1}) CREATE (a)-[:PAYS {at: datetime({epochSeconds: a.id}), fee: 0.5}]->(b);
CREATE (:Odd:Thing {whole: 1, half: 1.0, text: '1', many: [1, 2], place: point({x: 1.0, y: 2.0}), raw: null});
CREATE (:KontrolVerify {n: 1})-[:NEXT]->(:KontrolVerify {n: 2}), (:KontrolCanary {name: 'a'}), (:KontrolDrill {seq: 1})
"""
CHANGES = {
    "a property of another value": "MATCH (a:Account {id: 7}) SET a.name = 'other'",
    "a whole number that became a fraction": "MATCH (o:Odd) SET o.whole = 1.0",
    "a number that became a text": "MATCH (o:Odd) SET o.whole = '1'",
    "a list in another order": "MATCH (o:Odd) SET o.many = [2, 1]",
    "a date that became its text": "MATCH (a:Account {id: 7}) SET a.opened = toString(a.opened)",
    "a place of another system": "MATCH (o:Odd) SET o.place = point({longitude: 1.0, latitude: 2.0})",
    "a key of another name": "MATCH (o:Odd) SET o.test = o.text REMOVE o.text",
    "a label less": "MATCH (o:Odd) REMOVE o:Thing",
    "a relationship less": "MATCH (:Account {id: 7})-[r:PAYS]->() DELETE r",
    "ends that were swapped": "MATCH (a:Account {id: 20})-[r:PAYS]->(b) CREATE (b)-[s:PAYS]->(a) SET s = r DELETE r",
    "an end that is another node": "MATCH (a:Account {id: 30})-[r:PAYS]->(), (c:Account {id: 99})"
    " CREATE (a)-[s:PAYS]->(c) SET s = r DELETE r",
    "a constraint less": "DROP CONSTRAINT route",
}
PROGRAM = """
import json, sys
from kontrol_tools import neo4j_proof
from kontrol_tools.neo4j_database import Client
with Client(sys.argv[1], 7687, "neo4j", "none") as client:
    client.wait(120)
    proofs = []
    for statement in json.loads(sys.argv[2]):
        if sys.argv[3:]:
            proofs.append(neo4j_proof.proof(client))
        client.rows(statement)
    print(json.dumps([*proofs, neo4j_proof.proof(client), neo4j_proof.counts(client)]))
"""


@dataclass
class Stage:
    """Containers on a network of their own, which end with the test."""

    tool: Callable[..., str]
    images: dict[str, str]
    name: str
    folder: Path

    def program(self, *arguments: str, volumes: tuple[str, ...] = ("data",), **environment: str) -> str:
        """Run one of Neo4j's programs on the volumes and answer what it said."""
        return self.tool("docker", *self._neo4j(volumes, environment), *arguments)

    def serve(self, name: str, volume: str) -> str:
        """Start a server on a volume and answer its name on the network."""
        called = f"{self.name}-{name}"
        run, *rest = self._neo4j((f"{volume}:/data",), {"NEO4J_CONF": "/run/config/kontrol/neo4j"})
        self.tool("docker", run, "--detach", "--name", called, *rest, "/bin/bash", "-c", JOBS["__neo4j_serve"])
        return called

    def stop(self, called: str) -> None:
        """Stop a server as its pod would be stopped."""
        self.tool("docker", "stop", "--timeout", "60", called)

    def _neo4j(self, volumes: tuple[str, ...], environment: dict[str, str]) -> list[str]:
        mounts = [
            part for one in volumes for part in ("--volume", f"{self.name}-{one if ':' in one else f'{one}:/{one}'}")
        ]
        given = [part for name, value in environment.items() for part in ("--env", f"{name}={value}")]
        config = ("--volume", f"{self.folder}/conf:/run/config/kontrol/neo4j:ro")
        return ["run", "--network", self.name, *mounts, *given, *config, "--entrypoint", "", self.images["neo4j"]]

    def asked(self, server: str, *statements: str) -> tuple[dict[str, Any], dict[str, int]]:
        """Run statements on a server and answer its proof and its counts."""
        proof, counts = self._program(server, json.dumps(statements))
        return proof, counts

    def changed(self, server: str, statements: list[str]) -> list[dict[str, Any]]:
        """Run statements on a server and answer its proofs before, between and after them."""
        return self._program(server, json.dumps(statements), "each")[:-1]

    def _program(self, *arguments: str) -> list[dict[str, Any]]:
        entry = ("--entrypoint", "python3", self.images["tools"], "-c", PROGRAM, *arguments)
        said = self.tool("docker", "run", "--rm", "--network", self.name, *entry)
        answer: list[dict[str, Any]] = json.loads(said.splitlines()[-1])
        return answer

    def step(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Run one step of the tools image as a Job of the role does."""
        store = {"endpoint": f"http://{self.name}-store:7070", "bucket": "backups"}
        keys = {f"{key}_key_file": f"/etc/kontrol/{key}" for key in ("access", "secret")}
        login = {"user": "neo4j", "password_file": "/etc/kontrol/secret", "work": "/job", "settle": 60}
        one = {"name": "x", "command": command, **store, **keys, **login, **arguments}
        (self.folder / "args" / "args.json").write_text(json.dumps({"steps": [one]}), encoding="utf-8")
        mounts = ("--volume", f"{self.folder}/args:/etc/kontrol:ro", "--volume", f"{self.name}-job:/job")
        run = ("run", "--rm", "--user", "7474", "--network", self.name, *mounts, self.images["tools"])
        said = self.tool("docker", *run, check=False)
        answer: dict[str, Any] = json.loads(said.splitlines()[-1])
        return answer

    def result(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Run one step that must be done, and answer its result."""
        answer = self.step(command, **arguments)
        assert "results" in answer, answer
        result: dict[str, Any] = answer["results"]["x"]
        return result

    def shell(self, text: str, *arguments: str, volume: str) -> None:
        """Run a shell on a volume."""
        self.program("/bin/bash", "-euc", text, "-", *arguments, volumes=(volume,))

    def remove(self) -> None:
        """Remove all of it."""
        found = self.tool("docker", "ps", "--all", "--quiet", "--filter", f"network={self.name}").split()
        if found:
            self.tool("docker", "rm", "--force", "--volumes", *found)
        volumes = self.tool("docker", "volume", "ls", "--quiet", "--filter", f"name={self.name}-").split()
        self.tool("docker", "volume", "rm", "--force", *volumes)
        self.tool("docker", "network", "rm", self.name)


@pytest.fixture(scope="module")
def stage(caller_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    region = Region(caller_environment)
    folder = tmp_path_factory.mktemp("neo4j")
    for name, text in (("conf/neo4j.conf", CONFIGURATION), ("args/access", "kontrol"), ("args/secret", "very-secret")):
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    folder.parent.chmod(0o755)
    folder.chmod(0o755)
    images = {
        "neo4j": next(ref for ref in region.lab["images"] if "/neo4j:" in ref),
        "tools": next(ref for ref in region.lab["images"] if "kontrol/tools:" in ref),
        "store": next(ref for ref in region.lab["images"] if "versitygw" in ref),
    }
    made = Stage(
        region.tool, {name: local(region, ref) for name, ref in images.items()}, f"dump-{secrets.token_hex(3)}", folder
    )
    region.tool("docker", "network", "create", made.name)
    try:
        prepare(made)
        yield made
    finally:
        made.remove()


def local(region: Region, ref: str) -> str:
    """The image that the lab's registry has of a reference."""
    name = ref.partition("/")[2].rpartition(":")[0]
    return f"{region.lab['registry']}/{name}@{region.lab['images'][ref]}"


def prepare(stage: Stage) -> None:
    """Make volumes that the server's user may write to, and a backup store."""
    for volume in ("job", "scratch", "store"):
        own = ("--user", "0", "--volume", f"{stage.name}-{volume}:/x", "--entrypoint", "chown", stage.images["neo4j"])
        stage.tool("docker", "run", "--rm", *own, "7474:7474", "/x")
    stage.shell("mkdir /store/backups /store/backups-locks", volume="store")  # folders are buckets to it
    keys = ("--env", "ROOT_ACCESS_KEY=kontrol", "--env", "ROOT_SECRET_KEY=very-secret")
    disk = ("--user", "7474", "--volume", f"{stage.name}-store:/data")
    name = ("--name", f"{stage.name}-store", "--network", stage.name)
    serve = (stage.images["store"], "--port", ":7070", "posix", "/data")
    stage.tool("docker", "run", "--detach", *name, *keys, *disk, *serve)


def script(name: str) -> list[str]:
    """The command of one of the role's containers."""
    return [*JOBS["__neo4j_program"], *JOBS[f"__neo4j_{name}"]]


def state(stage: Stage, **known: Any) -> None:
    """Tell the containers of a backup's Job what the one that stops the server tells."""
    text = {"started": 1.0, "locked": True, "version": "5", "schema": 0, **known}
    stage.shell('rm -rf /job/*; echo "$1" >/job/state.json; touch /job/dump.allowed', json.dumps(text), volume="job")


def test_a_server_that_was_killed_is_started_again_where_it_was(stage: Stage) -> None:
    """As the kubelet does it: what is in the folders of the pod stays, and the number of the process is the same."""
    server = stage.serve("killed", "killed")
    _, before = stage.asked(server, "CREATE (:Account {id: 1})")
    stage.tool("docker", "kill", "--signal", "KILL", server)
    stage.tool("docker", "start", server)
    _, after = stage.asked(server)
    assert after == before
    stage.stop(server)


def test_a_dump_is_carried_loaded_and_proven(stage: Stage) -> None:
    server = stage.serve("server", "data")
    proof, counts = stage.asked(server, *FILL.split(";"))
    kinds = {":Account": 500, ":Odd": 1, ":Thing": 1, "[:PAYS]": 499}
    assert counts == {"nodes": 501, "relationships": 499, **kinds}
    assert {name: one["rows"] for name, one in proof.items()} == {**counts, "constraints": 1, "indexes": 3}
    stage.stop(server)
    state(stage, id="one", counts=counts)
    stage.program(*script("dump"), volumes=("data", "job"))
    stage.result("neo4j-carry")
    stage.shell('mkdir /scratch/conf; echo "$1" >/scratch/conf/neo4j.conf', SCRATCH, volume="scratch")
    stage.program(*script("load_scratch"), volumes=("job", "scratch"), NEO4J_CONF="/scratch/conf")
    scratch = stage.serve("scratch", "scratch")
    made = stage.result("neo4j-finish", host=scratch)
    assert (made["id"], made["nodes"], made["relationships"], made["kinds"]) == ("one", 501, 499, 4)
    assert stage.asked(scratch)[0] == proof
    assert stage.result("neo4j-compare", host=scratch, id="one")["rows"] == 1000


def test_every_change_of_a_graph_is_seen(stage: Stage) -> None:
    proofs = stage.changed(f"{stage.name}-scratch", list(CHANGES.values()))
    for what, before, after in zip(CHANGES, proofs, proofs[1:], strict=False):
        assert after != before, what
    assert len(proofs) == len(CHANGES) + 1


def test_a_backup_that_lacks_data_does_not_count(stage: Stage) -> None:
    state(stage, id="two", counts={"nodes": 502})
    stage.shell("echo 0 >/job/load.code", volume="job")
    said = stage.step("neo4j-finish", host=f"{stage.name}-scratch")["error"]
    assert said == "The dump holds less than the server held: nodes 501 of 502; it does not count"
    assert "no good backup 'two'" in stage.step("neo4j-download", id="two", file="/job/neo4j.dump")["error"]
    stage.stop(f"{stage.name}-scratch")


def test_a_load_takes_the_place_of_a_graph_at_once(stage: Stage) -> None:
    stage.shell("rm -rf /job/*", volume="job")
    assert stage.result("neo4j-download", id="one", file="/job/neo4j.dump")["id"] == "one"
    load = ["/bin/bash", "-c", JOBS["__neo4j_load"]]
    stage.program(*load, volumes=("job:/dump", "data"))
    stage.shell("truncate -s 3000 /job/neo4j.dump", volume="job")
    with pytest.raises(AssertionError, match="exit 1"):
        stage.program(*load, volumes=("job:/dump", "data"))
    server = f"{stage.name}-server"
    stage.tool("docker", "start", server)
    assert stage.result("neo4j-compare", host=server, id="one")["compared"] == 4


def test_a_damaged_dump_is_not_loaded(stage: Stage) -> None:
    stage.shell("printf X | dd of=/store/backups/neo4j/data/one.dump bs=1 seek=99 conv=notrunc", volume="store")
    said = stage.step("neo4j-download", id="one", file="/job/neo4j.dump")["error"]
    assert said == "Dump of backup 'one' is not the one of its manifest: the checksums differ"
