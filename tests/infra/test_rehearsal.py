"""A dress rehearsal: the product runs on what the templates make, by the names that its tasks are given."""

from pathlib import Path

import pytest
from moto.cloudformation.parsing import get_model_map
from rich.console import Console

from local_aws.process import running
from privacy_assets.demo.command import SETTINGS, Request, Stages, follow_nights, last_nights
from privacy_assets.demo.days import Plan
from privacy_assets.governed import governed_estate, table_shapes
from privacy_assets.machine.stack import machine
from resources import settings
from resources.provision import differences, provision
from tests.house import client
from tests.infra import stacks
from tests.infra.template import Templates
from tests.infra.test_names import environment

IMAGE = (settings.ESTATE.name, settings.AUDITS.name)
"""Files of the image, which are the project's own here."""
ELSEWHERE = (settings.SHARDS.name,)
"""Shards are tasks of ECS, which local AWS has not: here they are processes."""


def given(templates: Templates) -> dict[str, str]:
    """The product's settings as a run's task has them."""
    found = environment(templates, "run")
    left_out = {*IMAGE, *ELSEWHERE}
    return {
        name: value
        for name, value in found.items()
        if name.startswith(settings.PREFIX) and name not in left_out
    }


def test_the_templates_make_all_that_the_product_declares(
    templates: Templates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``estate check`` and ``estate provision`` find nothing to say of an account that was deployed to."""
    with running() as server:
        for name, value in {**server.environment, **given(templates)}.items():
            monkeypatch.setenv(name, value)
        stacks.deploy(templates)
        tables = table_shapes(governed_estate())
        assert differences(tables) == []
        assert provision(tables) == []
        sqs, queue = client("sqs"), settings.EXPORT_QUEUE.value()
        sqs.purge_queue(QueueUrl=sqs.get_queue_url(QueueName=queue)["QueueUrl"])
        sqs.delete_queue(QueueUrl=sqs.get_queue_url(QueueName=queue)["QueueUrl"])
        assert f"queue {queue}: missing" in differences(tables)


def test_what_is_made_by_hand_is_what_cloudformation_has_no_model_for(templates: Templates) -> None:
    known = set(get_model_map())
    assert {kind for kind in stacks.BY_HAND if kind in known} == set(stacks.ONLY_IF)
    made = {each.type for each in templates.all() if each.stack in stacks.STACKS}
    assert {*stacks.BY_HAND, *stacks.COMPLETED, *stacks.STUMBLES} <= made
    assert made <= known | {*stacks.BY_HAND}


def test_the_demo_runs_on_what_the_templates_make(templates: Templates, tmp_path: Path) -> None:
    """A planted night with its audits, deletions by way of the pipe and back, a scan, two requests."""
    nights = last_nights(1)
    plan = Plan(1000, nights)
    console = Console(stderr=True)
    environment = {**given(templates), **SETTINGS}
    with machine(tmp_path, settings=environment, eager=True, forgets=True) as whole:
        stacks.deploy(templates)
        assert provision(table_shapes(governed_estate())) == []
        stages = Stages(console, console.status("rehearsing"))
        found, scanned, requested = follow_nights(Request(tmp_path), nights, plan, stages, whole)
    assert found.failures == []
    assert found.surprises == []
    assert scanned is not None
    assert scanned.surprises == []
    assert requested is not None
    assert requested.surprises == []
