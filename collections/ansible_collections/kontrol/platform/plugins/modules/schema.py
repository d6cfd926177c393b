# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: schema
short_description: Bring the schema of a database up to date by a Job
version_added: 0.1.0
description:
  - Compares schema files on the controller with a record in the cluster and runs a Job for those that are missing.
  - The record is the ConfigMap C(<component>-schema-record). It names the volume claim by its uid, so that it does not
    count for another volume.
  - The database keeps a row per applied file itself, so the Job applies nothing twice.
  - A file that was applied and has changed since is an error.
options:
  component:
    description: Name of the component; part of the names of objects and of the record.
    type: str
    required: true
  namespace:
    description: Namespace of the record and of the volume claim.
    type: str
    required: true
  claim:
    description: Name of the volume claim that holds the database.
    type: str
    required: true
  folder:
    description: Folder with the files C(*.sql) or C(*.cypher) on the controller; the Job must be given the same files.
    type: str
    required: true
  job:
    description: The Job, as for M(kontrol.platform.job).
    type: dict
    required: true
    suboptions:
      name:
        description: Name; in the cluster it gets a random end.
        type: str
        required: true
      namespace:
        description: Where it runs.
        type: str
        required: true
      service_account:
        description: Its identity in the mesh.
        type: str
        required: true
      image:
        description: Reference of the tools image.
        type: str
        required: true
      steps:
        description: Arguments without a secret.
        type: list
        elements: dict
        required: true
      secrets:
        description: Secrets to mount.
        type: dict
        default: {}
      config_maps:
        description: ConfigMaps to mount.
        type: dict
        default: {}
      mesh:
        description: Whether it gets a sidecar.
        type: bool
        default: true
      timeout:
        description: Seconds from its creation to its result.
        type: float
        default: 120.0
      start_timeout:
        description: Seconds until its container runs.
        type: float
        default: 60.0
extends_documentation_fragment:
  - kontrol.platform.api
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
    details:
      - The record is read and compared; no Job is made.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: none
author:
  - KONTROL platform (@kontrol)
"""

EXAMPLES = r"""
- name: Bring the schema up to date
  kontrol.platform.schema:
    kubeconfig: "{{ kontrol_kubeconfig }}"
    component: clickhouse
    namespace: clickhouse
    claim: data-clickhouse-0
    folder: "{{ role_path }}/files/schema"
    job:
      name: clickhouse-schema
      namespace: clickhouse
      service_account: clickhouse-client
      image: docker.io/kontrol/tools:1
      secrets: {admin: clickhouse-login-admin}
      config_maps: {schema: clickhouse-schema}
      steps:
        - name: schema
          command: clickhouse-schema
          host: clickhouse.clickhouse.svc.cluster.local
          user: admin
          password_file: /run/secrets/kontrol/admin/password
          folder: /run/config/kontrol/schema
"""

RETURN = r"""
applied:
  description: Names of the files that were, or in check mode would be, applied.
  returned: always
  type: list
  elements: str
  sample: [0001_market.sql]
kontrol_objects:
  description: One entry per file with object, verb (create or none) and how it is known.
  returned: always
  type: list
  elements: dict
"""
