"""A governed table that is there already is named in the stage, with its stream: it is used, and not made."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from infra.declared import Declared
from infra.stages import FILE, Stage
from tests.infra.allowed import Need
from tests.infra.conftest import STAGE, synthesize
from tests.infra.policies import grants
from tests.infra.template import Templates
from tests.infra.test_names import unmet
from tests.infra.test_shapes import differences

TABLE = "PrivacyLogsTable"
STREAM = f"arn:aws:dynamodb:us-east-1:123456789012:table/{TABLE}/stream/2026-01-01T00:00:00.000"


def stage() -> dict[str, Any]:
    return {**yaml.safe_load(FILE.read_text())[STAGE], "existing_tables": {TABLE: STREAM}}


@pytest.fixture(scope="module")
def found(templates: Templates, tmp_path_factory: pytest.TempPathFactory) -> Templates:
    """After ``templates``, which skips where nothing can be synthesized."""
    folder = tmp_path_factory.mktemp("existing")
    stages: Path = folder / "stages.yaml"
    stages.write_text(yaml.safe_dump({STAGE: stage()}))
    synthesize(folder / "out", stages)
    return Templates.read(folder / "out", STAGE)


def tables(templates: Templates) -> set[str]:
    return {each.properties["TableName"] for each in templates.all("AWS::DynamoDB::Table")}


def test_it_is_not_made_and_all_else_is(templates: Templates, found: Templates) -> None:
    assert tables(found) == tables(templates) - {TABLE}
    declared = Declared(Stage.model_validate(stage()))
    assert differences(found, declared) == []
    # Nothing but the table and its stream's export is another.
    expected = copy.deepcopy(dict(templates.documents))
    gone = [
        each.id for each in templates.all("AWS::DynamoDB::Table") if each.properties["TableName"] == TABLE
    ]
    for name in gone:
        del expected["data"]["Resources"][name]
    assert found.documents["data"]["Resources"] == expected["data"]["Resources"]
    assert found.documents["compute"] == expected["compute"]
    assert found.documents["observability"] == expected["observability"]


def test_names_meet_but_for_the_table_that_others_made(found: Templates, declared: Declared) -> None:
    assert {line.partition(": ")[2] for line in unmet(found, declared)} == {f"no table {TABLE}"}


def test_its_pipe_reads_the_stream_that_is_named(templates: Templates, found: Templates) -> None:
    pipe, usual = found.one("AWS::Pipes::Pipe"), templates.one("AWS::Pipes::Pipe")
    assert pipe.resource["Properties"]["Source"] == STREAM
    assert {**pipe.properties, "Source": ""} == {**usual.properties, "Source": ""}
    assert "Fn::ImportValue" not in str(found.documents["messaging"]["Resources"])


@pytest.mark.parametrize(
    ("part", "action", "resource"),
    [
        ("pipes", "dynamodb:GetRecords", STREAM),
        ("pipes", "dynamodb:GetShardIterator", STREAM),
        ("run-archive-deletions", "dynamodb:GetRecords", STREAM),
        ("run-nightly-exports", "dynamodb:ExportTableToPointInTime", STREAM.partition("/stream")[0]),
        ("run-archive-restore", "dynamodb:PutItem", STREAM.partition("/stream")[0]),
        ("run-dsar-request", "dynamodb:DeleteItem", STREAM.partition("/stream")[0]),
    ],
)
def test_its_roles_may_use_it(found: Templates, part: str, action: str, resource: str) -> None:
    assert any(grant.allows(Need(part, action, resource)) for grant in grants(found, part))
