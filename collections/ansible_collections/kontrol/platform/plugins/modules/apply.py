# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: apply
short_description: Make objects of the cluster true
version_added: 0.1.0
description:
  - Applies objects by server-side apply with the field manager C(kontrol), many at once, in four waves.
    First namespaces and CRDs (which are waited for), then configuration, then workloads, then custom resources and
    webhooks.
  - An object has changed when the server's answer differs from the object before,
    status, managedFields, resourceVersion and generation left aside.
  - Nothing is taken from another field manager unless O(take_over) names the field.
    A field that cannot be changed in place is reported; no object is ever deleted and created again.
  - A null means that the field is absent. Text where Kubernetes wants text must be text in the source.
  - When the kubeconfig carries the mark of a run, the Lease of that run is checked before each wave.
options:
  component:
    description:
      - Name of the component that the objects belong to; they are labelled with it.
      - Its objects are listed in the ConfigMap C(kontrol-inventory-<component>) of the namespace C(kontrol-system).
    type: str
    default: ""
  definitions:
    description: Objects, or lists of objects.
    type: list
    elements: raw
    default: []
  templates:
    description:
      - Files in the role's templates folder, each of any number of YAML documents.
      - A template that renders to nothing stands for no object.
    type: list
    elements: str
    default: []
  manifests:
    description:
      - Files on the controller of which CustomResourceDefinitions are applied, too.
      - What was read of a file is kept as with O(charts).
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path of the file.
        type: str
        required: true
      definitions:
        description: Plural names of the definitions; that one is missing is an error.
        type: list
        elements: str
        required: true
  charts:
    description:
      - Charts whose objects are applied, too; each is rendered twice, and a difference is an error.
      - A chart that uses functions of chance, or that relies on hooks, is refused.
        Tests are left out, and so are fields that a controller fills in.
      - What came of a chart is kept in C($XDG_CACHE_HOME/kontrol/objects), by the content of the chart, of its values
        and of all else that decides it. Where values are named like a secret, or a Secret comes of it, nothing is kept.
    type: list
    elements: dict
    default: []
    suboptions:
      release:
        description: Name of the release.
        type: str
        required: true
      namespace:
        description: Namespace of the release.
        type: str
        required: true
      artifact:
        description: The chart as C(kontrol_artifacts) has it, C(ref), C(version) and C(repository).
        type: dict
        required: true
      values:
        description: Values that are laid over those of the chart; no secret.
        type: dict
        default: {}
      hooks:
        description: What becomes of Helm's hooks, by C(<kind>/<name>), V(apply) or V(drop).
        type: dict
        default: {}
  helm:
    description: Absolute path of the program C(helm); needed for O(charts).
    type: str
    default: ""
  prune:
    description:
      - Delete objects that the inventory names and that are given no more.
      - Namespaces, PersistentVolumes, PersistentVolumeClaims, CRDs, StatefulSets and Secrets are kept,
        and so is what does not carry the component's label any more.
    type: bool
    default: false
  max_prune:
    description: More deletions than this stop the task before anything is written.
    type: int
    default: 5
  take_over:
    description:
      - Fields that may be taken from another field manager, as the conflict names them, such as C(.spec.replicas).
      - A kind or an object id in front narrows it, as in C(Deployment.apps shop/web .spec.replicas).
      - When a conflict touches any field that is not named, nothing is taken.
    type: list
    elements: str
    default: []
  server_fields:
    description:
      - Fields that are sent when an object is created and left to the server from then on,
        such as C(Deployment.apps .spec.replicas) or C(.webhooks[*].clientConfig.caBundle).
      - Written like O(take_over); C([*]) stands for every item of a list.
    type: list
    elements: str
    default: []
  recreated:
    description:
      - Ids of objects that a task before has deleted so that they are made again,
        as M(kontrol.platform.volume) returns them.
      - In check mode they are still there and could not be changed in place, so they are judged as if they were gone.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - kontrol.platform.api
attributes:
  check_mode:
    description: Can run in check_mode and return changed status prediction without modifying target.
    support: full
    details:
      - Each object is judged by a dry run on the server, or, when its cluster, namespace or CRD does not exist yet,
        as it is rendered.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
    support: full
    details:
      - Only changed paths are shown; of a Secret only the names of its keys.
author:
  - KONTROL platform (@kontrol)
"""

EXAMPLES = r"""
- name: Apply the database
  kontrol.platform.apply:
    kubeconfig: "{{ kontrol_kubeconfig }}"
    component: clickhouse
    templates:
      - config.yml.j2
      - statefulset.yml.j2
    prune: true

- name: Apply a chart whose webhooks are finished by their controller
  kontrol.platform.apply:
    kubeconfig: "{{ kontrol_kubeconfig }}"
    component: mesh
    helm: "{{ kontrol_artifacts.helm.path }}"
    charts:
      - release: istiod
        namespace: istio-system
        artifact: "{{ kontrol_artifacts.istiod_chart }}"
        values: {replicaCount: 2}
    server_fields:
      - ValidatingWebhookConfiguration.admissionregistration.k8s.io .webhooks[*].failurePolicy
      - .webhooks[*].clientConfig.caBundle
"""

RETURN = r"""
kontrol_objects:
  description: What happened, or in check mode would happen, to each object.
  returned: always
  type: list
  elements: dict
  contains:
    object:
      description: Id of the object.
      type: str
      sample: StatefulSet.apps clickhouse/clickhouse
    verb:
      description: One of create, update, none, take_over, prune.
      type: str
      sample: create
    known:
      description: How that is known. One of server, rendered, unknown.
      type: str
      sample: server
kept:
  description: Ids of objects that the inventory names, that are given no more, and that were not deleted.
  returned: always
  type: list
  elements: str
"""
