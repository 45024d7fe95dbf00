"""Every service starts by its task's command, in its task's environment, and passes its task's health check.

On local AWS as the templates make it, with PostgreSQL as Dagster's storage. Ports are free ones, hosts are
this machine; ``dagster.yaml`` is the deployed one, its launcher of tasks and its logs in S3 included.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.parts import SERVICES
from infra.stages import HOME
from local_aws.process import running
from privacy_assets.governed import PROJECT
from privacy_assets.machine.processes import Child, children
from privacy_assets.machine.stack import free_port
from resources import settings
from tests.house import client
from tests.infra import stacks
from tests.infra.instance import handed_over, write_home
from tests.infra.template import Templates
from tests.infra.test_names import environment

BIN = Path(sys.executable).parent
SECONDS = 300.0
ORDER = ("code", "webserver", "auditors", "daemon", "api")
"""Whoever asks the code location comes after it."""


@dataclass
class Here:
    """A task's words as they are on this machine."""

    workspace: Path
    ports: dict[str, dict[str, str]] = field(default_factory=dict)

    def command(self, service: str, words: Sequence[str]) -> list[str]:
        program, *rest = words
        ports = self.ports.setdefault(service, {})
        said = []
        for word in rest:
            if word == f"{HOME}/deploy/workspace.yaml":
                said.append(str(self.workspace))
            elif word.isdigit():
                said.append(ports.setdefault(word, str(free_port())))
            else:
                said.append(word.replace(HOME, str(PROJECT)).replace("0.0.0.0", "127.0.0.1"))
        return [str(BIN / program), *said]


def container(templates: Templates, service: str) -> Mapping[str, Any]:
    task = templates.one("AWS::ECS::TaskDefinition", Family=f"privacy-{service}")
    (found,) = task.properties["ContainerDefinitions"]
    return dict(found)


def surroundings(templates: Templates, service: str, **here: str) -> dict[str, str]:
    """The task's variables, but for where the image has its files."""
    given = environment(templates, service)
    files = {settings.ESTATE.name, settings.AUDITS.name}
    ours = {name: value.replace(HOME, str(PROJECT)) for name, value in given.items() if name not in files}
    return {**ours, **here}


@pytest.fixture
def account(templates: Templates) -> Iterator[dict[str, str]]:
    """The environment that leads to local AWS, on which the stacks were made and the runs' task is known."""
    with running() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        stacks.deploy(templates)
        run, task = (
            container(templates, "run"),
            templates.one("AWS::ECS::TaskDefinition", Family="privacy-run"),
        )
        client("ecs").register_task_definition(
            family="privacy-run",
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu=task.properties["Cpu"],
            memory=task.properties["Memory"],
            containerDefinitions=[{"name": run["Name"], "image": run["Image"], "essential": True}],
        )
        yield dict(server.environment)


def test_services_start_and_are_healthy(
    templates: Templates, account: dict[str, str], tmp_path: Path
) -> None:
    assert sorted(ORDER) == sorted(SERVICES)
    workspace = yaml.safe_load((PROJECT / "deploy" / "workspace.yaml").read_text())
    here = Here(tmp_path / "workspace.yaml")
    with handed_over() as database, children(tmp_path / "logs") as group:
        database.create_user()
        shared = {
            **database.environment,
            **account,
            "DAGSTER_HOME": str(write_home(tmp_path, database.server, {})),
            "DAGSTER_CODE_HOST": "127.0.0.1",
            "TMPDIR": os.environ.get("TMPDIR", "/tmp"),
        }
        for service in ORDER:
            task = container(templates, service)
            around = surroundings(templates, service, **shared)
            started = group.start(service, here.command(service, task["Command"]), around)
            if service == "code":
                (server,) = workspace["load_from"]
                server["grpc_server"]["port"] = int(here.ports["code"][str(server["grpc_server"]["port"])])
                here.workspace.write_text(yaml.safe_dump(workspace))
            await_health(started, here.command(service, task["HealthCheck"]["Command"][1:]), around)
        group.check()


def await_health(service: Child, command: Sequence[str], environment: Mapping[str, str]) -> None:
    """Until the check says so; the service must not end meanwhile."""
    until = time.monotonic() + SECONDS
    while True:
        service.check()
        said = subprocess.run(
            command, env={**os.environ, **environment}, capture_output=True, text=True, check=False
        )
        if said.returncode == 0:
            return
        assert time.monotonic() < until, (
            f"{service.name}: {said.stdout} {said.stderr[-500:]} {service.last_words()}"
        )
        time.sleep(0.5)
