"""Makes a backup of Neo4j: stop, dump, start, and proof data from the dump as the store gives it back.

One Job does it, on demand and on schedule. Its containers run one after the other, those with an `*` are Neo4j's own:
`stop`, dump*, `start`, `carry`, load*, `finish` beside a scratch server* on the loaded dump; and `keep` all the time,
see neo4j_job. The server is out only from stop to start. A backup counts only after its proof (backups.publish).
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from . import arguments, backups, neo4j_proof, s3, second_store
from .backups import Manifest, Place
from .errors import ToolError
from .neo4j_database import Client, Neo4jError
from .neo4j_job import COMPONENT, Work, told
from .neo4j_proof import NODES, RELATIONSHIPS, Counts, Proof
from .neo4j_schema import newest_version
from .stateful_set import StatefulSet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

CONTAINER: Final = "neo4j"
DUMP: Final = "neo4j.dump"
"""Name that neo4j-admin gives and wants."""
READY_SECONDS: Final = 300.0
_PAUSE_SECONDS: Final = 0.05
SMALLEST_SHARE: Final = 0.5
"""A backup with a smaller share of what the one before holds is taken for a mistake, not for a backup."""
_VERSION: Final = (
    "CALL dbms.components() YIELD name, versions WHERE name = 'Neo4j Kernel' RETURN versions[0] AS version"
)


def key(identity: str) -> str:
    """Return where the dump of a backup lies."""
    return f"{COMPONENT}/data/{identity}.dump"


def stop(step: Mapping[str, Any]) -> dict[str, Any]:
    """Take the lock, count what the graph holds, stop the server, and let the dump run.

    Args:
        step: The login, the store, `work`, `namespace`, `stateful_set`; id: the backup's name ("": by the time);
            image: what the server must run, as the dump is made by that program; ready: seconds of a start or stop.
    """
    return told(step, _stop)


def _stop(step: Mapping[str, Any], work: Work) -> None:
    started = time.time()
    identity = backups.identity(step) or backups.new_identity(started)
    place, server = Place.from_arguments(step, COMPONENT), StatefulSet.from_arguments(step)
    work.add(id=identity, started=started)
    backups.take_over(place, identity)  # this Job is made again when its pod was killed, whose lock lasts for a while
    work.add(locked=True)
    backups.begin(place, identity)
    refuse_other_image(server, arguments.text(step, "image"))
    seconds = arguments.number(step, "ready", READY_SECONDS)
    run_again(server, seconds)
    with Client.from_arguments(step) as client:
        client.wait(seconds)  # a pod that is about to go, and has a successor, counts as ready
        work.add(version=str(client.rows(_VERSION)[0]["version"]), schema=newest_version(client))
        counts = neo4j_proof.counts(client)
    work.add(stopping=time.time())
    work.add(counts=_stopped(step, server, counts, seconds))
    work.allow("dump")


def _stopped(step: Mapping[str, Any], server: StatefulSet, before: Counts, seconds: float) -> Counts:
    """Stop the server, and return what it held as the last that it told: what the dump must hold."""
    told_last, gone = [before], threading.Event()
    counting = threading.Thread(target=_count, args=(step, told_last, gone), daemon=True)
    counting.start()
    try:
        server.scale(0)
        server.wait(0, seconds)
    finally:
        gone.set()
    return told_last[-1]


def _count(step: Mapping[str, Any], told_last: list[Counts], gone: threading.Event) -> None:
    """Count until the server is gone."""
    with suppress(Neo4jError), Client.from_arguments(step) as client:
        while not gone.wait(_PAUSE_SECONDS):
            told_last[:] = [neo4j_proof.counts(client)]


def refuse_other_image(server: StatefulSet, image: str) -> None:
    """Raise ToolError when the server is not declared to run an image: its volume is read by the program of that."""
    if (runs := server.image(CONTAINER)) != image:
        raise ToolError(
            f"Image '{runs}' runs and not '{image}', whose program would read its volume; bring the region up to date "
            "first (playbook bootstrap)"
        )


def run_again(server: StatefulSet, seconds: float) -> None:
    """Start a server that a dead backup or restore has left stopped, and wait until it is ready. Raises ToolError."""
    if server.wanted() == 0:
        server.scale(1)
    server.wait(1, seconds)


def start(step: Mapping[str, Any]) -> dict[str, Any]:
    """Start the server that this Job has stopped, whatever went wrong, and count again. Arguments as of `stop`."""
    work = Work.from_arguments(step)
    stopping = work.state.get("stopping")
    if stopping is None:
        return {}
    try:
        server = StatefulSet.from_arguments(step)
        seconds = arguments.number(step, "ready", READY_SECONDS)
        server.scale(1)
        work.add(started_again=True)
        server.wait(1, seconds)
        with Client.from_arguments(step) as client:
            client.wait(seconds)
            work.add(outage=round(time.time() - stopping, 1), counts_after=neo4j_proof.counts(client))
    except ToolError as error:
        work.add(late=f"the server did not come back: {error}")
    return {}


def carry(step: Mapping[str, Any]) -> dict[str, Any]:
    """Store the dump, read it back as the store gives it, and let that be loaded into the scratch server."""
    return told(step, _carry)


def _carry(step: Mapping[str, Any], work: Work) -> None:
    work.judge("dump", "The server's database could not be dumped")
    place, file, name = Place.from_arguments(step, COMPONENT), work.folder / DUMP, key(work.state["id"])
    if not file.is_file() or not file.stat().st_size:
        raise ToolError(f"Dump '{file}' is empty or not there")
    digest = s3.put_file(place.store, place.bucket, name, file)
    work.add(bytes=file.stat().st_size, sha256=digest)
    file.unlink()
    fetch(place, work.state["id"], digest, file)
    work.allow("load")


def fetch(place: Place, identity: str, digest: str, file: Path) -> None:
    """Write the dump of a backup to a file. Raises ToolError when it is not the one of a digest."""
    try:
        s3.get_file(place.store, place.bucket, key(identity), file)
    except ToolError:
        file.unlink(missing_ok=True)  # half of it may fill the disk on which the end is told
        raise
    if s3.file_digest(file) != digest:
        file.unlink()
        raise ToolError(f"Dump of backup '{identity}' is not the one of its manifest: the checksums differ")


def finish(step: Mapping[str, Any]) -> dict[str, Any]:
    """Prove what the scratch server has loaded, make the backup count, delete what is not kept any more, and copy it.

    Args:
        step: The login of the scratch server, the store, `work`; keep: good backups to keep (14); smaller: whether it
            may hold much less than the one before; second, scratch: see second_store.copy.

    Returns:
        id, started, made, seconds, bytes, nodes, relationships, kinds, outage, expired, copied (to the second store).

    Raises:
        ToolError: a container before this one failed, the backup is not good, or it is and not in the second store.
    """
    work, place = Work.from_arguments(step), Place.from_arguments(step, COMPONENT)
    state = work.state
    try:
        if "error" in state:
            raise ToolError(state["error"])
        result = _finish(step, work, place)
        work.add(complete=True)
        (work.folder / DUMP).unlink(missing_ok=True)  # its room is that of what is copied
        copied = second_store.copy(step, place, state["id"])
        if problems := [text for text in (state.get("late", ""), copied.problem) if text]:
            raise ToolError(f"Backup '{state['id']}' is complete, but {'; and '.join(problems)}")
    except ToolError as error:
        if "locked" in state:
            backups.note(place, state["id"], str(error))
        raise
    else:
        backups.note(place, state["id"])
    finally:
        work.add(done=True)  # first: `keep` makes the lock of a Job that is not done last longer, also one given back
        if "locked" in state:
            backups.give_back(place, state["id"])
    return {**result, "copied": copied.copied}


def _finish(step: Mapping[str, Any], work: Work, place: Place) -> dict[str, Any]:
    work.judge("load", "The dump could not be loaded into an empty database")
    with Client.from_arguments(step) as client:
        client.wait(arguments.number(step, "settle", 0.0))
        proof = neo4j_proof.proof(client)
    state = work.state
    refuse_lack(proof, state["counts"], state.get("counts_after", state["counts"]))
    objects, size = backups.own_objects(place, state["id"])
    manifest = Manifest(
        backup=state["id"],
        base="",
        started=state["started"],
        made=time.time(),
        bytes=size,
        objects=objects,
        versions={"neo4j": state["version"], "schema": str(state["schema"])},
        proof=proof,
        more={"sha256": state["sha256"], "outage": state.get("outage")},
    )
    _refuse_collapse(manifest, next(iter(backups.good(place)), None), smaller=step.get("smaller") is True)
    backups.publish(place, manifest)
    expired = backups.expire(place, backups.to_keep(step), time.time())
    return {
        **summary(manifest),
        "seconds": manifest.seconds,
        "bytes": manifest.bytes,
        "outage": state.get("outage"),
        "expired": expired,
    }


def summary(manifest: Manifest) -> dict[str, Any]:
    """Return what a backup is and how much it holds."""
    return {
        "id": manifest.backup,
        "started": manifest.started,
        "made": manifest.made,
        "nodes": manifest.proof[NODES]["rows"],
        "relationships": manifest.proof[RELATIONSHIPS]["rows"],
        "kinds": len([name for name in manifest.proof if name.startswith((":", "[:"))]),
    }


def refuse_lack(proof: Proof, before: Counts, after: Counts) -> None:
    """Raise ToolError when a dump holds less than its source held both before the stop and after the start."""
    least = {name: min(before[name], after.get(name, 0)) for name in before}
    held = {name: int(proof.get(name, {}).get("rows", 0)) for name in before}
    if lacking := [f"{name} {held[name]} of {least[name]}" for name in sorted(least) if held[name] < least[name]]:
        raise ToolError(f"The dump holds less than the server held: {', '.join(lacking[:5])}; it does not count")


def _refuse_collapse(manifest: Manifest, previous: Manifest | None, *, smaller: bool) -> None:
    """Refuse a backup that lost most of what the one before holds: a wrong volume looks like that, and a disaster.

    Raises:
        ToolError: it did, and nobody said that it may.
    """
    if previous is None or smaller:
        return
    rows, before = (one.proof[NODES]["rows"] + one.proof[RELATIONSHIPS]["rows"] for one in (manifest, previous))
    if rows < before * SMALLEST_SHARE:
        raise ToolError(
            f"Backup '{manifest.backup}' holds {rows} nodes and relationships, the one before, '{previous.backup}', "
            f"{before}; it does not count. If that is right, say so with `-e smaller=<region>`"
        )
