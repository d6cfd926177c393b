"""The driver `aws` and its stacks with the real terraform and the real provider, against moto on loopback.

The provider is never downloaded: it has to lie in a folder of providers, such as those that terraform itself looks in.
"""

from __future__ import annotations

import ipaddress
import json
import os
import platform
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.kontrol.platform.plugins.module_utils import warden
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.aws import AwsDriver
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.base import ClusterSpec, Condition, DriverError
from ansible_collections.kontrol.platform.plugins.module_utils.process import Completed
from ansible_collections.kontrol.platform.plugins.module_utils.terraform import (
    STATES,
    GentleRunner,
    Setup,
    StateLockedError,
    Terraform,
    TerraformError,
    state_key,
)
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.test_terraform import (
    CANARY,
    HARD,
    wait_for,
)

pytestmark = pytest.mark.cloud
ROOT = Path(__file__).resolve().parents[2]
LOCATION = "eu-west-2"
ACCOUNT = "123456789012"  # moto's
STORE = f"kontrol-states-{ACCOUNT}-{LOCATION}"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": CANARY}
ROUND_TRIP = """
terraform {
  backend "s3" {}
}
variable "hard" {}
resource "terraform_data" "kept" {
  input = var.hard
}
output "hard" {
  value = var.hard
}
output "kept" {
  value = terraform_data.kept.output
}
"""
SLOW = """
terraform {
  backend "s3" {}
}
variable "account" {}
variable "location" {}
variable "region" {}
variable "network_cidr" {}
resource "terraform_data" "slow" {
  provisioner "local-exec" {
    command = "test -e FOLDER/go || { touch FOLDER/begun; exec sleep 100; }"
  }
}
output "made" {
  value = terraform_data.slow.id
}
"""
CONTROLLER = """
import json, os, time
from pathlib import Path
from ansible.plugins.loader import init_plugin_loader
init_plugin_loader([{collections!r}])
from ansible_collections.kontrol.platform.plugins.module_utils.drivers.aws import AwsDriver
from ansible_collections.kontrol.platform.plugins.module_utils.process import arm_forks
arm_forks()
if os.fork() == 0:
    os.setsid()
    given = json.loads(Path({given!r}).read_text())
    AwsDriver(**given | {{name: Path(given[name]) for name in ("program", "source", "scratch")}}).network()
time.sleep(60)
"""


def provider_version() -> str:
    """The version that the stacks pin."""
    text = (ROOT / "terraform" / "stacks" / "aws" / "foundation" / "versions.tf").read_text(encoding="utf-8")
    (found,) = re.findall(r'^ +version = "([^"]+)"$', text, re.MULTILINE)
    return str(found)


def folder_of_providers(caller: Mapping[str, str]) -> Path | None:
    """The folder of providers on this machine that holds the pinned one."""
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
    home = Path(caller.get("HOME", "/"))
    shared = [Path("/usr/local/share/terraform/plugins"), Path("/usr/share/terraform/plugins")]
    for folder in (home / ".terraform.d" / "plugins", *shared, *sorted(Path("/opt").glob("*"))):
        if any(folder.glob(f"*/hashicorp/aws/{provider_version()}/linux_{machine}/terraform-provider-aws*")):
            return folder
    return None


@pytest.fixture(scope="session")
def terraform_program() -> Path:
    program = shutil.which("terraform")
    return Path(program) if program else pytest.skip("terraform is not on PATH")


@pytest.fixture(scope="session")
def providers(caller_environment: dict[str, str]) -> Path:
    return folder_of_providers(caller_environment) or pytest.skip(
        f"provider hashicorp/aws {provider_version()} is in no folder of providers"
    )


@dataclass
class Aws:
    """moto at work: its addresses, and what a client needs."""

    certificate: Path
    tls: int
    plain: int
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.env = {
            **CREDENTIALS,
            "AWS_ENDPOINT_URL": f"https://127.0.0.1:{self.tls}",
            "AWS_CA_BUNDLE": str(self.certificate),
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def ask(self, service: str) -> Any:
        return boto3.client(
            service,
            region_name=LOCATION,
            endpoint_url=self.env["AWS_ENDPOINT_URL"],
            verify=str(self.certificate),
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )

    def reset(self) -> None:
        context = ssl.create_default_context(cafile=str(self.certificate))
        request = urllib.request.Request(f"https://127.0.0.1:{self.tls}/moto-api/reset", method="POST")
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            assert answer.status == 200

    def make_store(self) -> None:
        self.ask("s3").create_bucket(Bucket=STORE, CreateBucketConfiguration={"LocationConstraint": LOCATION})

    def lock(self, key: str) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.ask("s3").get_object(Bucket=STORE, Key=key)["Body"].read())
        return found

    def buckets(self) -> set[str]:
        return {one["Name"] for one in self.ask("s3").list_buckets()["Buckets"]}

    def states(self) -> set[str]:
        """Names of all objects in the bucket of states, locks included."""
        return {one["Key"] for one in self.ask("s3").list_objects_v2(Bucket=STORE).get("Contents", [])}

    def networks(self) -> list[dict[str, Any]]:
        return [one for one in self.ask("ec2").describe_vpcs()["Vpcs"] if not one["IsDefault"]]

    def keys(self) -> dict[str, str]:
        kms = self.ask("kms")
        found = [kms.describe_key(KeyId=one["KeyId"])["KeyMetadata"] for one in kms.list_keys()["Keys"]]
        return {one["KeyId"]: one["KeyState"] for one in found}

    def aliases(self) -> set[str]:
        found = {one["AliasName"] for one in self.ask("kms").list_aliases()["Aliases"]}
        return {one for one in found if not one.startswith("alias/aws/")}


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate of its own for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "moto")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem, secret = folder / "moto.pem", folder / "moto.key"
    pem.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, secret


@pytest.fixture(scope="session")
def server(terraform_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Aws]:
    folder = tmp_path_factory.mktemp("moto")
    pem, key = certificate(folder)
    argv = [sys.executable, str(Path(__file__).with_name("aws_stand_in.py")), str(pem), str(key)]
    with (
        (folder / "log").open("w", encoding="utf-8") as log,
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            yield Aws(pem, **json.loads(process.stdout.readline()))
        finally:
            process.terminate()


@pytest.fixture
def aws(server: Aws) -> Aws:
    server.reset()
    return server


class Recorder:
    """Runs terraform, and keeps what it was called with and how it ended."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int]] = []
        self.argv: list[str] = []
        self.run = GentleRunner()

    def __call__(self, argv: Sequence[str], **more: Any) -> Completed:
        done = self.run(argv, **more)
        verb = next(word for word in argv[1:] if not word.startswith("-"))
        self.calls.append((verb, done.rc))
        self.argv += argv
        return done


@pytest.fixture
def driver_on(aws: Aws, terraform_program: Path, tmp_path: Path) -> Callable[[Path], AwsDriver]:
    """Make the driver for stacks below a folder."""
    return lambda source: AwsDriver(
        region="r1",
        location=LOCATION,
        account=ACCOUNT,
        backup_bucket="kontrol-backups-r1",
        network_cidr="10.20.0.0/16",
        program=terraform_program,
        source=source,
        scratch=tmp_path / "private",
        env=aws.env,
        protected=False,
        runner=Recorder(),
        lock_timeout=0,
    )


@pytest.fixture
def driver(driver_on: Callable[[Path], AwsDriver], providers: Path) -> AwsDriver:
    return replace(driver_on(ROOT / "terraform"), plugin_dir=providers)


def seal(_text: str) -> str:
    return "sealed"


def test_a_region_is_made_stays_as_declared_and_leaves_nothing(
    driver: AwsDriver, aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_EC2", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "elsewhere")
    assert isinstance(driver.runner, Recorder)
    assert driver.condition() is Condition.ABSENT
    assert [one["object"] for one in driver.look("foundation", seal)] == [f"Bucket {STORE}", "Stack foundation"]
    assert aws.buckets() == set(), "to look makes nothing"

    foundation = driver.foundation()
    assert ("plan", 2) in driver.runner.calls, "exit code 2 means changed"
    (key,) = aws.keys()
    assert foundation.value("key_arn") == f"arn:aws:kms:{LOCATION}:{ACCOUNT}:key/{key}"
    assert foundation.value("backup_bucket") == "kontrol-backups-r1"
    assert aws.ask("kms").get_key_rotation_status(KeyId=key)["KeyRotationEnabled"] is True
    assert aws.aliases() == {"alias/kontrol-r1"}
    for bucket, algorithm in ((STORE, "AES256"), ("kontrol-backups-r1", "aws:kms")):
        assert_private(aws, bucket, algorithm)

    network = driver.network()
    (vpc,) = aws.networks()
    assert network.value("network_id") == vpc["VpcId"]
    assert {one["Key"]: one["Value"] for one in vpc["Tags"]} == {
        "Name": "kontrol-r1",
        "kontrol:region": "r1",
        "kontrol:state": "cluster",
    }
    subnets = aws.ask("ec2").describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["Subnets"]
    assert {one["AvailabilityZone"]: one["SubnetId"] for one in subnets} == network.value("private_subnets")
    assert len(subnets) == 3
    assert aws.states() == {"state.tfstate", "r1/foundation.tfstate", "r1/cluster.tfstate"}

    driver.runner.calls.clear()
    assert driver.look("foundation", seal) == driver.look("cluster", seal) == []
    assert [rc for verb, rc in driver.runner.calls if verb == "plan"] == [0, 0]

    refused_while_it_stands(driver, aws)

    assert driver.delete() is True
    assert aws.networks() == []
    assert driver.delete_foundation("r1") is True
    assert aws.buckets() == {STORE}
    assert aws.aliases() == set()
    assert aws.keys() == {key: "PendingDeletion"}
    assert not [one for one in driver.runner.argv if CANARY in one]


def assert_private(aws: Aws, bucket: str, algorithm: str) -> None:
    s3 = aws.ask("s3")
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"
    blocked = s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
    assert len(blocked) == 4
    assert all(blocked.values())
    (rule,) = s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == algorithm
    assert s3.list_objects_v2(Bucket=bucket)["ResponseMetadata"]["HTTPStatusCode"] == 200
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"http://127.0.0.1:{aws.plain}/{bucket}/any", timeout=10)


def refused_while_it_stands(driver: AwsDriver, aws: Aws) -> None:
    """What would lose data, or is protected, is refused, and nothing is touched."""
    before = aws.buckets(), aws.networks(), aws.states()
    other_bucket = replace(driver, backup_bucket="kontrol-other-r1")
    with pytest.raises(DriverError, match=r'"module\.backups\.aws_s3_bucket\.this" is protected and would be replaced'):
        other_bucket.look("foundation", seal)
    other_network = replace(driver, network_cidr="10.30.0.0/16", protected=True)
    assert other_network.replaced(ClusterSpec("10.244.0.0/16", "10.96.0.0/16")) == [
        {"path": "network_cidr", "before": "10.20.0.0/16", "after": "10.30.0.0/16"}
    ]
    with pytest.raises(DriverError, match=r'Resource "aws_vpc\.this" is protected and would be replaced'):
        other_network.network()
    with pytest.raises(DriverError, match='Region "r1" is protected and nothing of it is deleted'):
        other_network.delete()
    with pytest.raises(DriverError, match="is in use, 5 resources of its network are there"):
        driver.delete_foundation("r1")
    assert (aws.buckets(), aws.networks(), aws.states()) == before


def test_another_account_is_refused_before_anything_is_made(driver: AwsDriver, aws: Aws) -> None:
    with pytest.raises(TerraformError, match="account ID not allowed"):
        replace(driver, account="999999999999").foundation()
    assert aws.buckets() == set()


@pytest.fixture
def slow(driver_on: Callable[[Path], AwsDriver], tmp_path: Path) -> AwsDriver:
    """The driver with stacks that need no provider, whose network waits for the file `go`."""
    for name in STATES:
        folder = tmp_path / "terraform" / "stacks" / "aws" / name
        folder.mkdir(parents=True)
        (folder / "main.tf").write_text(SLOW.replace("FOLDER", str(tmp_path)), encoding="utf-8")
    return driver_on(tmp_path / "terraform")


def killed_in_the_middle(driver: AwsDriver, begun: Path, meanwhile: Callable[[int], None]) -> str:
    """Kill -9 terraform in the middle of its apply; return what the run said."""
    caught: list[TerraformError] = []

    def apply() -> None:
        try:
            driver.network()
        except TerraformError as error:
            caught.append(error)

    run = threading.Thread(target=apply)
    run.start()
    wait_for(begun.exists, 60)
    (pid,) = driver._stack("cluster")._at_work()
    try:
        meanwhile(pid)
    finally:
        os.kill(pid, signal.SIGKILL)
        run.join(60)
    return str(caught[0])


def test_a_killed_apply_leaves_a_lock_that_is_explained_and_cleared_on_request(
    slow: AwsDriver, aws: Aws, tmp_path: Path
) -> None:
    aws.make_store()
    locks: list[dict[str, str]] = []

    def refused_while_it_lives(pid: int) -> None:
        locks.append(aws.lock("r1/cluster.tfstate.tflock"))
        with pytest.raises(TerraformError, match=rf"is not left by a dead run: terraform is at work .*process {pid};"):
            slow.clear_lock(locks[0]["ID"])

    said = killed_in_the_middle(slow, tmp_path / "begun", refused_while_it_lives)
    assert "was ended by signal 9" in said
    assert "what was made last may not be in the state" in said
    (lock,) = locks
    assert aws.lock("r1/cluster.tfstate.tflock") == lock, "it stays"

    with pytest.raises(StateLockedError) as locked:
        slow.network()
    told = str(locked.value)
    assert re.search(rf'locked by "{lock["Who"]}", operation "apply", for \d+ s, lock "{lock["ID"]}"', told)
    assert told.endswith(f"when it is dead, run again with -e unlock={lock['ID']}")
    with pytest.raises(
        DriverError, match=f'Lock "other" holds no state of region "r1": state "cluster" .*{lock["ID"]}'
    ):
        slow.clear_lock("other")
    assert aws.lock("r1/cluster.tfstate.tflock") == lock
    assert lock["Who"] in slow.clear_lock(lock["ID"])
    assert "r1/cluster.tfstate.tflock" not in aws.states()
    (tmp_path / "go").touch()
    assert slow.network().value("made")
    with pytest.raises(DriverError, match=r'holds no state of region "r1": no state is locked$'):
        slow.clear_lock(lock["ID"])


def test_a_killed_run_lets_terraform_save_its_state_and_give_its_lock_back(
    slow: AwsDriver, aws: Aws, tmp_path: Path
) -> None:
    """As in a run: a worker in a session of its own has called terraform, and the warden cleans up."""
    aws.make_store()
    names = {item.name for item in fields(slow)} - {"runner", "plugin_dir", "say"}
    given = {
        name: str(value) if isinstance(value, Path) else value for name, value in vars(slow).items() if name in names
    }
    (tmp_path / "given").write_text(json.dumps(given), encoding="utf-8")
    code = CONTROLLER.format(collections=str(ROOT / "collections"), given=str(tmp_path / "given"))
    env = os.environ | {warden.RUN_VARIABLE: "run-1"}
    (tmp_path / "run").mkdir()
    main = subprocess.Popen([sys.executable, "-c", code], env=env, start_new_session=True)
    lock = tmp_path / "lock"
    orders = warden.Orders(
        "run-1",
        main.pid,
        warden.process_start(main.pid),
        str(tmp_path / "run"),
        json.dumps({"pid": main.pid}),
        str(lock),
    )
    warden.start(orders)
    wait_for((tmp_path / "begun").exists, 60)
    assert "r1/cluster.tfstate.tflock" in aws.states()
    os.killpg(main.pid, signal.SIGKILL)
    main.wait(10)
    wait_for(lambda: warden.lock_holder(lock) == "", 60)
    assert aws.states() == {"r1/cluster.tfstate"}
    assert slow.hits() == ["terraform_data.slow"], "what was begun is in the state"


def test_values_come_back_unchanged_by_way_of_the_bucket(terraform_program: Path, aws: Aws, tmp_path: Path) -> None:
    aws.make_store()
    stack = tmp_path / "stack"
    stack.mkdir()
    (stack / "main.tf").write_text(ROUND_TRIP, encoding="utf-8")
    backend = {"bucket": STORE, "key": state_key("r1", "cluster"), "region": LOCATION, "use_lockfile": True}
    setup = Setup(backend=backend, variables={"hard": HARD}, env=aws.env)
    first, second = (Terraform(terraform_program, stack, tmp_path / name, setup=setup) for name in ("one", "two"))
    first.init()
    first.apply(first.plan())
    second.init()
    assert second.outputs().value("hard") == HARD
    assert second.outputs().value("kept") == HARD
    assert not second.plan().changed
