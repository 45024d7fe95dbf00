"""What tasks run can be run: the programs themselves parse each command, and know its arguments."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster._cli
import dagster._daemon.cli
import dagster_webserver.cli
import pytest
import typer

from infra.parts import SERVICES
from infra.stages import HOME
from privacy_assets import cli
from privacy_assets.governed import PROJECT
from tests.infra.template import Templates

# Of Typer's and of Dagster's kind of command, which are not of one class.
PROGRAMS: Mapping[str, Any] = {
    "privacy-assets": typer.main.get_command(cli.app),
    "dagster": dagster._cli.create_dagster_cli(),
    "dagster-daemon": dagster._daemon.cli.create_dagster_daemon_cli(),
    "dagster-webserver": dagster_webserver.cli.dagster_webserver,
}


def parse(command: Sequence[str]) -> None:
    """Raises the program's own usage error for what it doesn't know, at whatever depth."""
    program, *rest = (part.replace(HOME, str(PROJECT)) for part in command)
    if program == "python":
        assert Path(rest[0]).is_file(), rest[0]
        return
    found, context = PROGRAMS[program], None
    while True:
        context = found.make_context(program, list(rest), parent=context)
        if not hasattr(found, "resolve_command"):
            return
        program, found, rest = found.resolve_command(context, [*context._protected_args, *context.args])


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_started_by_a_command_that_there_is(templates: Templates, service: str) -> None:
    task = templates.one("AWS::ECS::TaskDefinition", Family=f"privacy-{service}")
    (container,) = task.properties["ContainerDefinitions"]
    parse(container["Command"])
    kind, *health = container["HealthCheck"]["Command"]
    assert kind == "CMD"
    parse(health)


@pytest.mark.parametrize(
    "command",
    [
        ["privacy-assets", "api", "serve", "--port", "8000"],
        ["privacy-assets", "api", "--listen", "0.0.0.0"],
        ["dagster", "api", "grpc", "--no-such-option"],
        ["dagster-daemon", "walk"],
        ["dagster-webserver", "--writable"],
    ],
)
def test_a_command_that_there_is_not_is_told(command: list[str]) -> None:
    with pytest.raises(Exception, match=r"(?i)no such|unexpected extra"):
        parse(command)
