"""What code reads from its environment is what its task has, and names what the templates make."""

import copy
import os
from collections.abc import Mapping

import pytest

from infra.declared import Declared
from infra.names import log_group
from infra.parts import JOBS, RUN, SERVICES, run_part
from privacy_assets.definitions import defs
from privacy_assets.governed import PROJECT
from privacy_assets.sizes import SIZES
from resources import settings
from resources.provision import Names, shapes
from tests.infra.shapes import read
from tests.infra.template import Templates

TASKS = (*SERVICES, RUN)
EMPTY_BY_DESIGN = {
    settings.SCAN_PROCESSES.name: "as many as the task has cores",
    settings.DETECTORS.name: "none unless the stage names a file",
    settings.API_OIDC_ISSUER.name: "none unless the stage names one",
    settings.API_OIDC_KEYS.name: "the issuer's own",
    settings.DEBUG.name: "stack traces may hold values",
}


def environment(templates: Templates, part: str) -> dict[str, str]:
    """The variables of a part's container."""
    (container,) = templates.one("AWS::ECS::TaskDefinition", Family=f"privacy-{part}").properties[
        "ContainerDefinitions"
    ]
    return {each["Name"]: each["Value"] for each in container["Environment"]}


def unmet(templates: Templates, declared: Declared) -> list[str]:
    """A line for each name that is on one side only, or names nothing."""
    lines = []
    known = {setting.name for setting in settings.ALL}
    for part in TASKS:
        found = environment(templates, part)
        ours = {name for name in found if name.startswith(settings.PREFIX)}
        lines += [f"{part}: {name} is not set" for name in sorted(known - ours - set(EMPTY_BY_DESIGN))]
        lines += [f"{part}: nothing reads {name}" for name in sorted(ours - known)]
        lines += [f"{part}: {line}" for line in _nameless(templates, declared, found)]
    return lines


def _nameless(templates: Templates, declared: Declared, found: Mapping[str, str]) -> list[str]:
    """What the names of a task stand for, by the product's own reading, and no template makes."""
    before = dict(os.environ)
    ours = {name: value for name, value in found.items() if name.startswith(settings.PREFIX)}
    os.environ.update(ours)
    try:
        wanted = shapes(Names.from_settings(), declared.tables, declared.stage.place)
    finally:
        os.environ.clear()
        os.environ.update(before)
    lines = []
    for resource in wanted:
        try:
            read(templates, resource.kind, resource.name)
        except KeyError:
            lines.append(f"no {resource.kind} {resource.name}")
    return lines


def test_each_name_is_set_and_names_what_is_made(templates: Templates, declared: Declared) -> None:
    assert unmet(templates, declared) == []


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({settings.LAKE_BUCKET.name: "another"}, "code: no bucket another"),
        ({settings.LAKE_BUCKET.name: None}, f"code: {settings.LAKE_BUCKET.name} is not set"),
        ({"PRIVACY_ASSETS_NOBODY_READS": "x"}, "code: nothing reads PRIVACY_ASSETS_NOBODY_READS"),
    ],
)
def test_a_name_changed_by_hand_is_told(
    templates: Templates, declared: Declared, change: dict[str, str | None], line: str
) -> None:
    documents = copy.deepcopy(dict(templates.documents))
    for resource in documents["compute"]["Resources"].values():
        if resource.get("Properties", {}).get("Family") == "privacy-code":
            (container,) = resource["Properties"]["ContainerDefinitions"]
            kept = {each["Name"]: each["Value"] for each in container["Environment"]}
            changed = {name: value for name, value in {**kept, **change}.items() if value is not None}
            container["Environment"] = [{"Name": name, "Value": value} for name, value in changed.items()]
    assert line in unmet(Templates(documents), declared)


def test_files_that_tasks_name_are_in_the_image() -> None:
    text = (PROJECT / "Dockerfile").read_text()
    for name in ("estate.yaml", "audits", "deploy"):
        assert f"COPY {name} /opt/privacy-assets/{name}" in text


def test_dagster_reads_what_tasks_have(templates: Templates) -> None:
    """Every ``env:`` of the files in deploy/ is a variable of every task that reads them."""
    named = set()
    for file in ("dagster.yaml", "workspace.yaml"):
        text = (PROJECT / "deploy" / file).read_text()
        named |= {part.split("}")[0].strip() for part in text.split("{env:")[1:]}
    assert named
    for part in TASKS:
        assert named <= set(environment(templates, part)), part


def test_every_job_has_its_role_and_every_part_its_log(templates: Templates) -> None:
    roles = {
        each.properties["RoleName"]
        for each in templates.all("AWS::IAM::Role")
        if "RoleName" in each.properties
    }
    # Dagster's own job of all assets has none: its runs are RUN's.
    jobs = {job.name for job in defs().resolve_all_job_defs() if not job.name.startswith("__")}
    assert jobs == set(SIZES) == set(JOBS)
    assert {f"privacy-{run_part(job)}" for job in jobs} <= roles
    beginning = environment(templates, "code")[settings.RUN_ROLES.name].rpartition("/")[2]
    assert {f"{beginning}{job.replace('_', '-')}" for job in jobs} <= roles
    groups = {each.properties.get("LogGroupName") for each in templates.all("AWS::Logs::LogGroup")}
    assert {log_group(part) for part in TASKS} <= groups


def test_the_api_believes_the_load_balancer_about_addresses(templates: Templates) -> None:
    (network,) = templates.all("AWS::EC2::VPC")
    assert environment(templates, "api")[settings.API_PROXIES.name] == network.properties["CidrBlock"]
