# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: job
short_description: Run Jobs of the tools image in the mesh and return what they report
version_added: 0.1.0
description:
  - Under STRICT only what runs in the mesh can talk to a database, so work on one is a Job.
  - All Jobs of a task run at once.
  - A Job takes its arguments from a file and prints one JSON document as its last line; this task returns it.
  - A Job that cannot be made, does not start, ends badly or has no result fails the task, with the reason that the
    cluster gives. It is never taken for a pass.
  - Jobs are deleted when they have been read; they are no objects of a component and never count as a change.
options:
  component:
    description: Name of the component whose work it is; a label.
    type: str
    default: ""
  jobs:
    description: The Jobs.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name in the results; in the cluster it gets a random end.
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
        description:
          - Arguments, a list of steps with O(jobs[].name) and a command; F(images/tools/README.md) lists the commands.
          - They can be read by everybody who may read pods, so they must not hold a secret.
        type: list
        elements: dict
        required: true
      secrets:
        description: Secrets to mount, as folder below F(/run/secrets/kontrol) to name of the Secret.
        type: dict
        default: {}
      config_maps:
        description: ConfigMaps to mount, as folder below F(/run/config/kontrol) to name of the ConfigMap.
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
      until_end:
        description: Whether to wait until the Job itself has ended, which a sidecar that goes on would prevent.
        type: bool
        default: false
      user:
        description: Number of the user and group that it runs as; the owner of the files where it works on a volume.
        type: int
        default: 65532
      volumes:
        description:
          - More volumes for each of its containers, C({name, path, claim}).
          - Without a claim it is an empty folder that ends with the Job.
        type: list
        elements: dict
        default: []
      before:
        description:
          - Containers that must end well before the Job's own starts, in order.
          - C({name, image, command, environment, memory}), or C({name, steps}) for the tools image with other steps,
            whose results are not returned.
          - With C(stays) one runs on, from before those that follow until the Job has ended.
        type: list
        elements: dict
        default: []
      beside:
        description:
          - Containers that run beside the Job's own from before its start to its end, in the form of O(jobs[].before).
        type: list
        elements: dict
        default: []
      token:
        description:
          - Whether the Job may ask the API server as its service account.
        type: bool
        default: false
      near:
        description:
          - Labels of pods on whose node it is best, as it mounts a volume that only one node can mount at a time.
        type: dict
        default: {}
      retries:
        description:
          - How many new pods take the place of one that is killed, within the Job's own timeout.
          - What its own container reports, also an error, is final.
        type: int
        default: 0
  required:
    description:
      - Whether a Job without a result fails the task.
      - Otherwise it is only a failed check, and whoever needs its answers finds none.
    type: bool
    default: true
extends_documentation_fragment:
  - kontrol.platform.api
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
    details:
      - No Job is made; the task is skipped.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: none
author:
  - KONTROL platform (@kontrol)
"""

EXAMPLES = r"""
- name: Ask a port from outside the mesh
  kontrol.platform.job:
    kubeconfig: "{{ kontrol_kubeconfig }}"
    jobs:
      - name: stranger
        namespace: kontrol-outside
        service_account: probe
        mesh: false
        image: docker.io/kontrol/tools:1
        steps:
          - name: ports
            command: probe
            endpoints:
              - {name: shop, host: shop.shop.svc.cluster.local, port: 8080, protocol: http, want: refused}
"""

RETURN = r"""
jobs:
  description: Results by name of the Job.
  returned: always
  type: dict
  sample: {stranger: {results: {ports: {endpoints: []}}, seconds: 2.1}}
answers:
  description: Results by name of the Job and name of the step; nothing for a Job that gave none.
  returned: always
  type: dict
  sample: {stranger: {ports: {endpoints: []}}}
ended:
  description: Condition in which a Job ended, by its name, where O(jobs[].until_end) asked for it.
  returned: always
  type: dict
  sample: {probe: Complete}
kontrol_checks:
  description: A failed check for each Job that gave no result.
  returned: when a Job gave no result
  type: list
  elements: dict
"""
