"""How much room a volume has: read in the server's own container, refused where nobody can tell."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils import room
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError

POD: dict[str, Any] = {
    "spec": {
        "containers": [
            {"name": "probe", "volumeMounts": [{"name": "data", "mountPath": "/seen"}]},
            {
                "name": "db",
                "volumeMounts": [{"name": "logs", "mountPath": "/logs"}, {"name": "data", "mountPath": "/d"}],
            },
        ]
    }
}
SAID = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda 1000 400 600 40% /d\n250\t/d\n"


def client(pod: dict[str, Any] | None) -> Any:
    return SimpleNamespace(find=lambda path: pod, connection="connection")


def test_free_and_held_bytes_are_read_where_the_server_has_its_volume() -> None:
    asked: list[tuple[Any, ...]] = []

    def run(*args: Any) -> str:
        asked.append(args)
        return SAID

    assert room.look(client(POD), "db", run) == {"free": 600 * 1024, "held": 250 * 1024}
    ((connection, namespace, pod, container, argv),) = asked
    assert (connection, namespace, pod, container, argv[-1]) == ("connection", "db", "db-0", "db", "/d")


@pytest.mark.parametrize(
    ("pod", "said", "reason"),
    [
        (None, SAID, "Pod 'db/db-0' is not there"),
        ({"spec": {"containers": [{"name": "db"}]}}, SAID, "mounts no volume 'data'"),
        (POD, "Filesystem\n", "cannot be read from: Filesystem"),
        (POD, "a\nb c d e\nf\n", "cannot be read from"),
    ],
)
def test_room_that_nobody_knows_is_an_error(pod: dict[str, Any] | None, said: str, reason: str) -> None:
    with pytest.raises(KontrolError, match=reason):
        room.look(client(pod), "db", lambda *_: said)
