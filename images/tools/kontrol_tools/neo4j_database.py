"""A connection to Neo4j by its own driver, which is imported only when it is needed: most Jobs do without.

Refusals carry Neo4j's code, so that a wrong password is told from a server that does not answer.
"""

from __future__ import annotations

import time
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self

from . import arguments
from .errors import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

UNAUTHORIZED = "Neo.ClientError.Security.Unauthorized"
DATABASE = "neo4j"
SYSTEM = "system"
_TIMEOUT = 10.0
_POLL_SECONDS = 0.5


class Neo4jError(ToolError):
    """The server refused or does not answer; `code` is Neo4j's, empty without an answer."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Client:
    """Queries over bolt as one user.

    Args:
        host: Name of the server.
        port: Port of bolt.
        user: Who asks.
        password: Never part of a message.
        driver: Makes the driver; replaced in tests.
    """

    def __init__(
        self,
        host: str,
        port: int,
        user: str,
        password: str,
        driver: Callable[[str, tuple[str, str]], Any] | None = None,
    ) -> None:
        self.address, self.user, self.password = f"{host}:{port}", user, password
        self._driver = (driver or _driver)(f"bolt://{self.address}", (user, password))

    @classmethod
    def from_arguments(cls, step: Mapping[str, Any]) -> Self:
        """Make one of `host`, `port` (7687), `user` and `password_file`."""
        return cls(
            arguments.text(step, "host"),
            int(arguments.number(step, "port", 7687)),
            arguments.text(step, "user"),
            arguments.secret(arguments.text(step, "password_file")),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._driver.close()

    def rows(self, query: str, database: str = DATABASE, **parameters: Any) -> list[dict[str, Any]]:
        """Run one query in a transaction of its own and return its rows. Raises Neo4jError."""
        try:
            result = self._driver.execute_query(query, parameters_=parameters, database_=database)
        except Exception as error:
            raise _explained(error, self.address, self.user) from error
        return [dict(record) for record in result.records]

    def wait(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Return when the server answers a query; a refused login is final. Raises Neo4jError after `seconds`."""
        deadline = clock() + seconds
        while True:
            try:
                self.rows("RETURN 1 AS one")
            except Neo4jError as error:
                if error.code == UNAUTHORIZED or clock() >= deadline:
                    raise
                time.sleep(_POLL_SECONDS)
            else:
                return


def _driver(address: str, login: tuple[str, str]) -> Any:
    neo4j = import_module("neo4j")  # heavy, not needed by most Jobs, and only in the image
    return neo4j.GraphDatabase.driver(
        address,
        auth=login,
        connection_timeout=_TIMEOUT,
        max_transaction_retry_time=_TIMEOUT,
        notifications_min_severity="OFF",  # a hint for each label that is not there yet, among them those of our proofs
        telemetry_disabled=True,
    )


def _explained(error: Exception, address: str, user: str) -> Neo4jError:
    """Return an error of the driver in our words; what is not the driver's is a defect of ours and goes on."""
    code = str(getattr(error, "code", None) or "")
    if code == UNAUTHORIZED:
        return Neo4jError(f"Neo4j refuses the password of user '{user}'", code)
    if code.startswith("Neo."):
        return Neo4jError(f"Neo4j answers {code}: {str(getattr(error, 'message', error))[:300]}", code)
    if isinstance(error, OSError) or type(error).__module__.startswith("neo4j"):
        return Neo4jError(f"Neo4j at '{address}' does not answer: {type(error).__name__} {str(error)[:200]}")
    raise error
