"""The image and the files of Dagster beside it, as far as they can be looked at without building it."""

import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass

import yaml
from dagster_aws.ecs.container_context import EcsContainerContext
from packaging.requirements import Requirement

from infra.names import role_name
from infra.stages import HOME, load
from privacy_assets.governed import PROJECT
from privacy_assets.sizes import DEFAULT
from resources import settings
from tests.infra.template import Templates
from tests.infra.test_commands import parse

PROGRAMS_OF_DAGSTER = ("dagster", "dagster-daemon", "dagster-webserver")


@dataclass(frozen=True)
class Instruction:
    """One instruction of the Dockerfile, and the number of its stage."""

    stage: int
    name: str
    rest: str


def instructions() -> Iterator[Instruction]:
    text = re.sub(r"^\s*#.*\n", "", (PROJECT / "Dockerfile").read_text(), flags=re.MULTILINE)
    stage = -1
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.strip().partition(" ")
            stage += name == "FROM"
            yield Instruction(stage, name, " ".join(rest.split()))


def of(name: str, stage: int | None = None) -> list[str]:
    found = list(instructions())
    last = max(each.stage for each in found)
    wanted = range(last + 1) if stage is None else [range(last + 1)[stage]]
    return [each.rest for each in found if each.name == name and each.stage in wanted]


def test_what_is_copied_is_there_and_sent_to_the_builder() -> None:
    sent = (PROJECT / ".dockerignore").read_text().splitlines()
    assert sent[0] == "*"
    copied = [shlex.split(rest) for rest in of("COPY")]
    ours = [words for words in copied if not any(word.startswith("--from") for word in words)]
    assert ours
    for *sources, _ in ours:
        for source in sources:
            assert (PROJECT / source).exists(), source
            assert f"!{source}" in sent, source
    packages = {source for *sources, _ in ours for source in sources if (PROJECT / source).is_dir()}
    assert "local_aws" not in packages
    assert "tests" not in packages


def test_the_image_is_nobodys_and_says_how_it_is() -> None:
    (user,) = of("USER", -1)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    names = [each.name for each in instructions()]
    assert "RUN" not in names[names.index("USER") :]
    assert "COPY" not in names[names.index("USER") :]
    (check,) = of("HEALTHCHECK", -1)
    parse(yaml.safe_load(check.partition("CMD ")[2]))
    (command,) = of("CMD", -1)
    parse(yaml.safe_load(command))
    assert command == str(yaml.safe_load(command)).replace("'", '"')  # a list, so no shell is between


def test_images_are_pinned_and_nothing_is_compiled_or_kept() -> None:
    assert all(re.search(r":\$\{PYTHON\}-slim-bookworm( AS \w+)?$", rest) for rest in of("FROM"))
    assert not any("apt-get" in rest or "curl" in rest for rest in of("RUN"))
    assert all(
        "-c constraints.txt" in rest or "--no-deps" in rest for rest in of("RUN") if "pip install" in rest
    )
    # Tasks can't write what Python compiles: they would compile all of it each time that they start.
    assert all("--compile-bytecode" in rest for rest in of("RUN") if "uv pip install" in rest)
    assert "PYC_INVALIDATION_MODE=UNCHECKED_HASH" in " ".join(of("ENV", 0))
    assert all(rest.startswith("https://truststore.pki.rds.amazonaws.com/") for rest in of("ADD"))


def test_nothing_is_installed_that_is_for_development_or_one_machine() -> None:
    installed = [extra for rest in of("RUN") for extra in re.findall(r"\.\[([\w,]+)\]", rest)]
    assert installed == ["postgres"]
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    left_out = {Requirement(each).name for each in extras["local"]}
    assert not left_out & {Requirement(each).name for each in project["dependencies"]}
    assert {"moto", "duckdb"} <= left_out


def test_every_program_that_tasks_start_is_installed(templates: Templates) -> None:
    """By the product itself, by Dagster's packages, or by Python."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    known = {*project["scripts"], *PROGRAMS_OF_DAGSTER, "python"}
    tasks = templates.all("AWS::ECS::TaskDefinition")
    commands = [task.properties["ContainerDefinitions"][0].get("Command") for task in tasks]
    assert {command[0] for command in commands if command} <= known


def test_the_images_environment_is_the_tasks(templates: Templates) -> None:
    text = " ".join(of("ENV", -1))
    said = dict(word.split("=", 1) for word in shlex.split(text))
    assert said["DAGSTER_HOME"] == f"{HOME}/deploy"
    (container,) = templates.one("AWS::ECS::TaskDefinition", Family="privacy-run").properties[
        "ContainerDefinitions"
    ]
    given = {each["Name"]: each["Value"] for each in container["Environment"]}
    shared = {name: value for name, value in said.items() if name in given}
    assert shared == {name: given[name] for name in shared}
    assert {settings.ESTATE.name, settings.AUDITS.name, "DAGSTER_HOME"} <= set(shared)


def test_dagster_plus_is_given_what_the_stack_gives(templates: Templates) -> None:
    """``container_context.ecs`` is what Dagster's launcher knows, complete and of the stage production."""
    (location,) = yaml.safe_load((PROJECT / "dagster_cloud.yaml").read_text())["locations"]
    given = location["container_context"]["ecs"]
    EcsContainerContext.create_from_config({"ecs": given})  # raises for what it doesn't know
    stage = load()["production"]
    defaults = {setting.name: setting.default for setting in settings.ALL}
    differing = [f"{name}={value}" for name, value in stage.environment().items() if value != defaults[name]]
    assert given["env_vars"] == differing
    role = f"arn:aws:iam::{stage.account}:role/"
    assert given["task_role_arn"] == role + role_name("code")
    assert given["execution_role_arn"] == role + role_name("task-execution")
    for name in ("code", "task-execution"):
        templates.one("AWS::IAM::Role", RoleName=role_name(name))
    code = templates.one("AWS::ECS::TaskDefinition", Family="privacy-code").properties
    server = given["server_resources"]
    assert (server["cpu"], server["memory"]) == (code["Cpu"], code["Memory"])
    assert given["run_resources"] == {"cpu": str(DEFAULT.cpu), "memory": str(DEFAULT.memory)}
    assert given["runtime_platform"]["cpuArchitecture"] == stage.architecture
    assert location["image"].startswith(f"{stage.account}.dkr.ecr.{stage.region}.")
