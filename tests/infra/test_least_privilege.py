"""Each role allows what its part calls, and nothing that it does not call."""

import copy
import os
from collections.abc import Iterator
from fnmatch import fnmatchcase

import pytest

from infra.declared import Declared
from infra.parts import RUN, SERVICES, run_part
from local_aws.process import running
from privacy_assets.governed import governed_estate, table_shapes
from privacy_assets.sizes import SIZES
from resources import clients
from resources.provision import provision
from tests.infra.allowed import Need, Needs
from tests.infra.flows import NOBODY, Flows
from tests.infra.policies import grants
from tests.infra.template import Templates
from tests.infra.unused import UNUSED

PARTS = (*SERVICES, RUN, *(run_part(job) for job in SIZES))


@pytest.fixture(scope="module")
def recorded(declared: Declared) -> Iterator[list[Need]]:
    """What the parts needed while they did their work on an AWS of their own."""
    before = dict(os.environ)
    with running() as server:
        os.environ.update(server.environment)
        os.environ["AWS_ACCESS_KEY_ID"] = NOBODY
        os.environ["PRIVACY_ASSETS_SCAN_PROCESSES"] = "1"
        provision(table_shapes(governed_estate()))
        flows = Flows(server.endpoint)
        flows.record()
        flows.all()
        kms = clients.client("kms")
        aliases = {
            each["TargetKeyId"]: each["AliasName"]
            for each in kms.list_aliases()["Aliases"]
            if "TargetKeyId" in each
        }
        needs = Needs(declared, aliases)
        yield sorted({need for call in flows.calls() for need in needs.of(call)}, key=str)
    os.environ.clear()
    os.environ.update(before)


def refused(templates: Templates, needs: list[Need]) -> list[str]:
    """A line for each call that its part's role does not allow."""
    allowed = {part: grants(templates, part) for part in PARTS}
    return [
        f"{need.part}: {need.action} on {need.resource} {dict(need.context) or ''}"
        for need in needs
        if not any(grant.allows(need) for grant in allowed[need.part])
    ]


def unused(templates: Templates, needs: list[Need]) -> list[str]:
    """A line for each allowed action that nothing used and that has no reason."""
    lines = []
    for part in PARTS:
        # A run of no job may do what the jobs of its assets may.
        mine = [need for need in needs if need.part == part or (part == RUN and need.part.startswith("run-"))]
        for grant in grants(templates, part):
            used = any(grant.allows(need) for need in mine)
            excused = any(fnmatchcase(f"{part} {grant.sid} {grant.action}", each) for each in UNUSED)
            if not used and not excused:
                lines.append(f"{part} {grant.sid} {grant.action}")
    return lines


def test_each_call_of_each_part_is_allowed(templates: Templates, recorded: list[Need]) -> None:
    jobs = {run_part(job) for job in SIZES}
    assert {need.part for need in recorded} >= {"code", *jobs}
    assert refused(templates, recorded) == []


def test_nothing_is_allowed_that_nothing_uses(templates: Templates, recorded: list[Need]) -> None:
    assert unused(templates, recorded) == []


def test_every_reason_is_needed(
    templates: Templates, recorded: list[Need], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = dict(UNUSED)
    monkeypatch.setattr("tests.infra.test_least_privilege.UNUSED", {})
    lines = unused(templates, recorded)
    assert [each for each in given if not any(fnmatchcase(line, each) for line in lines)] == []


def test_an_action_taken_away_is_named(templates: Templates, recorded: list[Need]) -> None:
    documents = copy.deepcopy(dict(templates.documents))
    for resource in documents["compute"]["Resources"].values():
        if resource.get("Properties", {}).get("RoleName") == "privacy-run-daily-audit":
            for statement in resource["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]:
                statement["Action"] = [
                    each for each in statement["Action"] if each != "athena:StartQueryExecution"
                ]
    (line,) = refused(Templates(documents), recorded)
    assert line.startswith("run-daily-audit: athena:StartQueryExecution on arn:aws:athena:")


def test_an_action_too_many_is_named(templates: Templates, recorded: list[Need]) -> None:
    documents = copy.deepcopy(dict(templates.documents))
    for resource in documents["compute"]["Resources"].values():
        if resource.get("Properties", {}).get("RoleName") == "privacy-code":
            resource["Properties"]["Policies"][0]["PolicyDocument"]["Statement"].append(
                {
                    "Sid": "More",
                    "Effect": "Allow",
                    "Action": ["s3:DeleteObject"],
                    "Resource": ["arn:aws:s3:::privacy-lake/*"],
                }
            )
    assert unused(Templates(documents), recorded) == ["code More s3:DeleteObject"]


def test_the_api_reads_no_clients_secret(templates: Templates) -> None:
    name = "arn:aws:secretsmanager:us-east-1:123456789012:secret:privacy-api/"
    for what, expected in (("clients", True), ("signing-keys", True), ("client/shop", False)):
        need = Need("api", "secretsmanager:GetSecretValue", f"{name}{what}-AbCdEf")
        assert any(grant.allows(need) for grant in grants(templates, "api")) is expected, what
