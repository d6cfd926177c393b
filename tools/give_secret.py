"""Give a region a secret that nobody can make for it: `python -m tools.give_secret REGION NAME`.

The value is asked for without being shown, or read from standard input: never an argument, which everybody on this
machine could see. One that is there is replaced. What uses it gets it by the playbook bootstrap.
"""

from __future__ import annotations

import argparse
import getpass
import os
import re
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ansible.plugins.loader import init_plugin_loader
from ansible.utils.collection_loader import AnsibleCollectionConfig

ROOT: Final = Path(__file__).resolve().parent.parent
if AnsibleCollectionConfig.collection_finder is None:
    init_plugin_loader([str(ROOT / "collections")])

from ansible_collections.kontrol.platform.plugins.module_utils import (  # noqa: E402 - found by the loader
    paths,
    process,
    state,
    warden,
)
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError  # noqa: E402 - as above
from ansible_collections.kontrol.platform.plugins.module_utils.lease import Holder  # noqa: E402 - as above
from ansible_collections.kontrol.platform.plugins.module_utils.secrets import SecretStore  # noqa: E402 - as above

if TYPE_CHECKING:
    from collections.abc import Sequence

REGION: Final = re.compile(r"[a-z][a-z0-9-]*")
NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]*(/[a-z0-9][a-z0-9_-]*)+")


def main(arguments: Sequence[str] | None = None) -> int:
    """Store the value and say so; 1 when it cannot be stored, 2 when it was not asked for rightly."""
    parser = argparse.ArgumentParser(prog="python -m tools.give_secret", description=__doc__)
    parser.add_argument("region")
    parser.add_argument("name", help="such as second-store/access-key")
    given = parser.parse_args(arguments)
    if not NAME.fullmatch(given.name):
        parser.error(f'Expected a name such as second-store/access-key, found "{given.name}"')
    if not REGION.fullmatch(given.region) or not paths.region_state(given.region).is_dir():
        parser.error(f'Region "{given.region}" was never begun on this machine; run the playbook bootstrap first')
    value = _value(given.name)
    if not value or not value.isprintable():
        parser.error("Expected a value of one line that is not empty")
    try:
        replaced = give(given.region, given.name, value)
    except KontrolError as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 1
    print(f'Secret "{given.name}" of region "{given.region}" was {"replaced" if replaced else "stored"}')
    return 0


def _value(name: str) -> str:
    if sys.stdin.isatty():
        return getpass.getpass(f"Value of {name}: ")
    return sys.stdin.read().strip()


def give(region: str, name: str, value: str) -> bool:
    """Store a secret of a region, whose store is made where it is not there yet; return whether one was replaced.

    Raises:
        KontrolError: a run writes to the region, or the store cannot be opened.
    """
    folder = paths.region_state(region)
    holder = Holder("give_secret", region, "give_secret", os.getpid(), socket.gethostname(), state.now())
    lock, other = warden.take_lock(folder / "lock", holder.to_json())
    if lock is None:
        known = Holder.from_json(other)
        raise KontrolError(f'Region "{region}" is being written to by {known.text() if known else "another run"}; wait')
    with lock:
        store = SecretStore(folder, process.run)
        store.create()
        return store.give(name, value)


if __name__ == "__main__":
    sys.exit(main())
