"""Give a person a short-lived way into a region's cluster; documented in plugins/modules/person_kubeconfig.py."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar, Final

from ansible_collections.kontrol.platform.plugins.module_utils import access, state
from ansible_collections.kontrol.platform.plugins.module_utils.action_base import KontrolAction
from ansible_collections.kontrol.platform.plugins.module_utils.api import Api
from ansible_collections.kontrol.platform.plugins.module_utils.errors import KontrolError
from ansible_collections.kontrol.platform.plugins.module_utils.proof import Proof
from ansible_collections.kontrol.platform.plugins.module_utils.region_run import PERSON_FILE, RegionRun

ACCOUNT: Final = "/api/v1/namespaces/kontrol-system/serviceaccounts/kontrol-person"


class ActionModule(KontrolAction):
    """Asks the API server for a token that ends by itself; nothing in the cluster is changed."""

    ARGUMENTS: ClassVar[dict[str, dict[str, Any]]] = {
        "region": {"type": "str", "required": True},
        "seconds": {"type": "int", "default": 3600},
    }

    def execute(self, args: dict[str, Any], task_vars: dict[str, Any]) -> dict[str, Any]:
        """Write the kubeconfig and return its path; the token is in no result."""
        del task_vars
        path = RegionRun(args["region"], "", Path()).folder / PERSON_FILE
        if self.check_mode:
            return {"changed": True, "path": str(path), "kontrol_lines": [f"A kubeconfig would be written to {path}"]}
        with tempfile.TemporaryDirectory(prefix="kontrol-person-") as private:
            region = RegionRun(args["region"], "", Path(private))
            way, _objects = Proof(region).prove(write=False)
            token, until = self._token(way, region, args["seconds"])
        person = access.Access(way.source, way.api_server, way.ca_sha256, way.cluster, {"token": token})
        state.write_text(path, access.kubeconfig(person, args["region"]))
        lines = ["", f"Valid until {until}, for this region's cluster only:", f"  export KUBECONFIG={path}"]
        return {"changed": True, "path": str(path), "expires": until, "kontrol_lines": lines}

    def _token(self, way: access.Access, region: RegionRun, seconds: int) -> tuple[str, str]:
        """Return a token and when it expires."""
        admin = region.private / "kubeconfig"
        state.write_text(admin, access.kubeconfig(way, region.region))
        api = Api.open(admin)
        if api.get(ACCOUNT) is None:
            raise KontrolError(
                'ServiceAccount "kontrol-system/kontrol-person" is not there; run the playbook bootstrap'
            )
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": seconds},
        }
        answer = api.create(f"{ACCOUNT}/token", body)["status"]
        return str(answer["token"]), str(answer["expirationTimestamp"])
