"""moto as the API of AWS on loopback, over TLS and over plain HTTP; prints both ports as JSON.

It ends with its standard input, so that it outlives no test.

moto leaves conditions of bucket policies out, so a Deny without TLS would deny everything. Here that one condition is
judged by how the request came in. All else is moto's.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from typing import Any

import flask
from moto.iam.access_control import IAMPolicy, PermissionResult
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import FakeBucket
from werkzeug.serving import make_server

TLS_CONDITION = {"Bool": {"aws:SecureTransport": "false"}}


def permission(self: FakeBucket, action: str, resource: str) -> PermissionResult:
    """Judge an action by the statements of a bucket's policy whose condition this request meets."""
    if self.policy is None:
        return PermissionResult.NEUTRAL
    policy = json.loads(self.policy)
    if flask.request.is_secure:
        policy["Statement"] = [one for one in policy["Statement"] if one.get("Condition") != TLS_CONDITION]
    return IAMPolicy(json.dumps(policy)).is_action_permitted(action, resource)


def end_with_input() -> None:
    """End when nobody holds the other side of standard input any more."""
    sys.stdin.read()
    os._exit(0)


def main(certificate: str, key: str) -> None:
    """Serve."""
    vars(sys.modules[FakeBucket.__module__])["FakeBucket"].get_permission = permission
    app = DomainDispatcherApplication(create_backend_app)
    how: dict[str, Any] = {"threaded": True, "request_handler": MotoRequestHandler}
    tls = make_server("127.0.0.1", 0, app, ssl_context=(certificate, key), **how)
    plain = make_server("127.0.0.1", 0, app, **how)
    for work in (plain.serve_forever, end_with_input):
        threading.Thread(target=work, daemon=True).start()
    sys.stdout.write(json.dumps({"tls": tls.server_port, "plain": plain.server_port}) + "\n")
    sys.stdout.flush()
    tls.serve_forever()


if __name__ == "__main__":
    main(*sys.argv[1:])
