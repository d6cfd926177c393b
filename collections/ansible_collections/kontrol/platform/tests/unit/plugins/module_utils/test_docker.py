from __future__ import annotations

import pytest

from ansible_collections.kontrol.platform.plugins.module_utils.docker import Docker
from ansible_collections.kontrol.platform.plugins.module_utils.process import ToolError
from ansible_collections.kontrol.platform.tests.unit.plugins.module_utils.fakes import FakeTools


def test_containers_are_found_by_label_and_by_exact_name() -> None:
    tools = FakeTools()
    docker = Docker("/bin/docker", tools)
    assert docker.labelled("a=b") == []
    assert docker.container("one") is None
    tools.add("one", {"a": "b"})
    tools.add("one-two", {"a": "c"})
    assert [found["Name"] for found in docker.labelled("a=b")] == ["/one"]
    found = docker.container("one")
    assert found is not None
    assert found["Name"] == "/one"


def test_a_container_that_goes_while_it_is_looked_at_is_not_there() -> None:
    tools = FakeTools()
    docker = Docker("/bin/docker", tools)
    tools.add("one", {"a": "b"})
    tools.add("two", {"a": "b"})
    tools.going.add("one")
    assert [found["Name"] for found in docker.labelled("a=b")] == ["/two"]
    assert docker.container("one") is None
    tools.fail["docker container"] = "permission denied"
    with pytest.raises(ToolError, match="Reading containers failed with exit code 1: permission denied"):
        docker.container("two")


def test_an_image_is_pulled_only_when_it_is_not_there() -> None:
    tools = FakeTools(images={"here"})
    docker = Docker("/bin/docker", tools)
    docker.pull("here")
    assert tools.did("docker", "pull") == 0
    docker.pull("there")
    assert tools.did("docker", "pull") == 1
    tools.fail["docker pull"] = "no such image"
    with pytest.raises(ToolError, match='Pulling image "elsewhere" failed with exit code 1: no such image'):
        docker.pull("elsewhere")


def test_the_network_of_kind_is_made_once() -> None:
    tools = FakeTools()
    docker = Docker("/bin/docker", tools)
    docker.ensure_network()
    docker.ensure_network()
    assert tools.did("docker", "network", "create") == 1


def test_an_engine_that_does_not_run_is_named_with_its_remedy() -> None:
    tools = FakeTools(fail={"docker ps": "Cannot connect to the Docker daemon"})
    with pytest.raises(ToolError, match="Cannot connect to the Docker daemon; start the Docker engine"):
        Docker("/bin/docker", tools).container("one")


def test_logs_and_removal() -> None:
    tools = FakeTools()
    docker = Docker("/bin/docker", tools)
    tools.add("one", {})
    assert docker.logs("one", 3) == "it says why"
    docker.remove("one")
    assert tools.containers == {}
