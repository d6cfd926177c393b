"""A small Neo4j for the tools: the part of the driver that they use, over nodes in memory."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

UNAUTHORIZED = "Neo.ClientError.Security.Unauthorized"


class ServerError(Exception):
    """What the driver raises for a refusal: it has the server's code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class UnavailableError(Exception):
    """What the driver raises without an answer."""


UnavailableError.__module__ = "neo4j.exceptions"


@dataclass
class Graph:
    """Nodes by label, passwords by user, all queries; `silent` tries get no answer; `broken` queries are refused.

    `types` are relationships by their type, `own_types` those of them that hang on nodes of proofs.
    """

    passwords: dict[str, str] = field(default_factory=lambda: {"neo4j": "p"})
    nodes: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    closed: int = 0
    refused: int = 0
    silent: int = 0
    broken: str = ""
    lossy: bool = False
    types: dict[str, int] = field(default_factory=dict)
    own_types: dict[str, int] = field(default_factory=dict)
    beans: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def module(self) -> SimpleNamespace:
        """Return what takes the place of the module `neo4j`."""
        return SimpleNamespace(GraphDatabase=SimpleNamespace(driver=lambda address, **options: Driver(self, **options)))

    def queries(self, beginning: str = "") -> list[str]:
        """Return what was asked, without parameters."""
        return [query for _, query in self.asked if query.startswith(beginning)]

    def answer(self, query: str, given: dict[str, Any]) -> list[dict[str, Any]]:
        """Do what one of the tools' queries says."""
        if "type(r) AS type" in query:
            return [{"type": kind, "n": count} for kind, count in self.own_types.items()]
        if query.endswith("AS n"):
            return [{"n": self.count(query)}]
        if query.startswith("CALL"):
            return self.call(query, given)
        if query.startswith("CREATE USER"):
            self.passwords.setdefault(given["user"], given["password"])
        match = re.search(r":(\w+)", query)
        return self.work(query, match[1], given) if match else []

    def work(self, query: str, label: str, given: dict[str, Any]) -> list[dict[str, Any]]:
        """Write, delete or read nodes of a label."""
        kept = self.nodes.setdefault(label, [])
        mine = [node for node in kept if node.get("run") == given.get("run")]
        if query.startswith("UNWIND"):
            kept.extend(given["nodes"][:-1] if self.lossy else given["nodes"])
        elif query.startswith("MERGE"):
            kept[:] = [node for node in kept if "version" in given] + [dict(given)]
        elif "DETACH DELETE" in query:
            self.nodes[label] = [node for node in kept if node not in mine]
        elif query.endswith("AS steps"):
            return [{"steps": max(0, len(mine) - 1)}]
        return mine if query.startswith("MATCH") and "RETURN" in query else []

    def call(self, query: str, given: dict[str, Any]) -> list[dict[str, Any]]:
        """Answer a call of one of the server's procedures."""
        if query.startswith("CALL dbms.queryJmx"):
            return [{"attributes": attributes} for attributes in self.beans[given["name"]]]
        if query.startswith("CALL dbms.components"):
            return [{"version": "5.26.30"}]
        if query.startswith("CALL db.labels"):
            return [{"label": label} for label in self.nodes]
        return [{"type": kind} for kind in self.types] if "relationshipTypes" in query else []

    def count(self, query: str) -> int:
        """Answer one of the queries that count."""
        name = "".join(re.findall(r"`(.*)`", query))
        if "-[r" in query:
            return self.types[name] if name else sum(self.types.values())
        return sum(
            len(kept) for label, kept in self.nodes.items() if label == name or (not name and label not in query)
        )


class Driver:
    """The driver for one login."""

    def __init__(self, graph: Graph, auth: tuple[str, str], **options: Any) -> None:
        self.graph, self.login, self.options = graph, auth, options

    def execute_query(self, query: str, parameters_: dict[str, Any], database_: str) -> Any:
        """Answer, refuse, or be silent."""
        if self.graph.silent:
            self.graph.silent -= 1
            raise UnavailableError("no route")
        if self.graph.passwords.get(self.login[0]) != self.login[1]:
            self.graph.refused += 1
            raise ServerError(UNAUTHORIZED, "The client is unauthorized")
        self.graph.asked.append((database_, query))
        if self.graph.broken and self.graph.broken in query:
            raise ServerError("Neo.ClientError.Statement.SyntaxError", f"Invalid input in {query}")
        return SimpleNamespace(records=self.graph.answer(query, parameters_))

    def close(self) -> None:
        """Count it."""
        self.graph.closed += 1
