"""The secret store of a region on this machine: one SOPS file under an age key, values by pipe only (design rule 8)."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets as random
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ansible_collections.kontrol.platform.plugins.module_utils import state
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.process import find_tool, must

if TYPE_CHECKING:
    from collections.abc import Callable

    from ansible_collections.kontrol.platform.plugins.module_utils.process import Runner

KEY_FILE: Final = "age.key"
STORE_FILE: Final = "secrets.sops.json"
UNKNOWN: Final = "__KONTROL_UNKNOWN__"
PASSWORD_BYTES: Final = 24  # 32 characters of URL-safe base64
TIMEOUT: Final = 60.0
SEALED: Final = "sealed:"
SEAL_DIGITS: Final = 16  # hexadecimal
FILLER: Final = "kontrol/store"  # SOPS does not encrypt an empty document


class SecretError(KontrolError):
    """The secret store cannot do what it was asked; the text never holds a value."""


def new_password() -> str:
    """Return a password of 32 URL-safe characters from the system's random source, a letter first."""
    while not (password := random.token_urlsafe(PASSWORD_BYTES))[0].isalpha():
        pass
    return password


def _age_pair() -> tuple[str, str]:
    """Return (private key, recipient) made by pyrage."""
    from pyrage import x25519  # noqa: PLC0415 - only the run that makes the store needs it

    identity = x25519.Identity.generate()
    return str(identity), str(identity.to_public())


class SecretStore:
    """The secrets of one region, by names such as `clickhouse/admin`.

    Args:
        folder: The region's state folder.
        runner: Runs the `sops` program.
        make_key: Makes an age key; given by tests.
        program: Finds the sops program; given by tests.
    """

    def __init__(
        self,
        folder: Path,
        runner: Runner,
        make_key: Callable[[], tuple[str, str]] = _age_pair,
        program: Callable[[], str] = lambda: find_tool("sops"),
    ) -> None:
        self._key = folder / KEY_FILE
        self._file = folder / STORE_FILE
        self._runner = runner
        self._make_key = make_key
        self._program = program

    def exists(self) -> bool:
        """Return whether the store was made, key and file."""
        return self._key.is_file() and self._file.is_file()

    def create(self) -> bool:
        """Make the store unless it is there; return whether it was made.

        Raises:
            SecretError: when the file is there but its key is lost: a new key would lose every password in it.
        """
        if self.exists():
            return False
        if self._file.exists():
            raise SecretError(
                f'Key file "{self._key}" is gone but "{self._file}" is there; put the key back from a copy'
            )
        if not self._key.exists():  # a run killed between key and file leaves a key to go on with
            private, recipient = self._make_key()
            state.write_text(self._key, f"# created: {state.now()}\n# public key: {recipient}\n{private}\n")
        self._save({FILLER: "1"})
        return True

    def names(self) -> list[str]:
        """Return the names of the secrets; names are not secret and need no key."""
        data = state.read_json(self._file) or {}
        return sorted(name for name in data if name not in {"sops", FILLER})

    def ensure(self, name: str, kind: str = "password") -> bool:
        """Make a secret unless it is there; return whether it was made."""
        return bool(self.ensure_all([name], kind))

    def ensure_all(self, names: list[str], kind: str = "password") -> list[str]:
        """Make those of the secrets that are not there, in one write; return their names."""
        if kind != "password":
            raise SecretError(f'Secret of kind "{kind}" is not known; use "password"')
        missing = [name for name in names if name not in self.names()]
        if missing:
            self._require()
            self._save(self._load() | {name: new_password() for name in missing})
        return missing

    def give(self, name: str, value: str) -> bool:
        """Store a value that a person gives; return whether it took the place of another one."""
        self._require()
        values = self._load()
        self._save(values | {name: value})
        return name in values

    def get(self, name: str) -> str:
        """Return the value of a secret.

        Raises:
            SecretError: when there is no such secret.
        """
        values = self.values()
        if name not in values:
            raise SecretError(
                f'Secret "{name}" is not in the store "{self._file}"; ask for it with stored_secret first'
            )
        return values[name]

    def values(self) -> dict[str, str]:
        """Return all secrets by name, for the price of one decryption."""
        self._require()
        return {name: value for name, value in self._load().items() if name != FILLER}

    def seal(self, text: str) -> str:
        """Return a digest of a secret value under the region's key: it can be compared, and not be guessed at.

        Without a key, in a region that is not made yet, no value is secret: what would be is not known.
        """
        key = self._key.read_bytes() if self._key.is_file() else b""
        sealed = hmac.new(hashlib.sha256(b"kontrol plan\0" + key).digest(), text.encode(), hashlib.sha256)
        return SEALED + sealed.hexdigest()[:SEAL_DIGITS]

    def _require(self) -> None:
        if not self.exists():
            raise SecretError(f'There is no secret store in "{self._file.parent}"; run the playbook bootstrap first')

    def _load(self) -> dict[str, str]:
        """Return all values, decrypted by sops from its standard input."""
        arguments = ["decrypt", "--filename-override", STORE_FILE, *_types()]
        text = self._sops(arguments, self._file.read_text(encoding="utf-8"), "Opening the secret store")
        return {str(name): str(value) for name, value in json.loads(text).items()}

    def _save(self, values: dict[str, str]) -> None:
        """Encrypt all values and replace the file as a whole."""
        arguments = ["encrypt", "--filename-override", STORE_FILE, "--age", self._recipient(), *_types()]
        text = self._sops(arguments, json.dumps(values), "Encrypting the secret store")
        if set(json.loads(text)) != {*values, "sops"}:
            raise SecretError(f'Encrypting gave something unexpected, "{self._file}" was left as it was; run again')
        state.write_text(self._file, text)

    def _sops(self, arguments: list[str], text: str, what: str) -> str:
        # Without --config, sops looks for .sops.yaml in all folders above: another project's rules must not count.
        argv = [self._program(), "--config", "/dev/null", *arguments]
        env = {"SOPS_AGE_KEY_FILE": str(self._key), "SOPS_DISABLE_VERSION_CHECK": "1"}
        remedy = f'check that "{self._key}" is the key of "{self._file}"'
        return must(self._runner(argv, env=env, input=text, timeout=TIMEOUT), what, remedy)

    def _recipient(self) -> str:
        """Return the public key that stands in the key file."""
        for line in self._key.read_text(encoding="utf-8").splitlines():
            if line.startswith("# public key: "):
                return line.removeprefix("# public key: ").strip()
        raise SecretError(f'Key file "{self._key}" does not tell its public key; put it back from a copy')


def _types() -> list[str]:
    return ["--input-type", "json", "--output-type", "json"]
