"""All that the code location offers, by name: a change to the graph is seen in review.

A change that is meant is written down by ``python -m tests.test_graph > tests/graph.txt``.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

import dagster as dg
from dagster._core.definitions.freshness import CronFreshnessPolicy

from privacy_assets.definitions import defs

REVIEWED = Path(__file__).with_name("graph.txt")


def name(key: dg.AssetKey) -> str:
    return key.to_user_string()


def names(keys: Iterable[dg.AssetKey]) -> str:
    return ", ".join(sorted(name(key) for key in keys))


def graph() -> str:
    definitions = defs()
    assets = definitions.resolve_asset_graph()
    repository = definitions.get_repository_def()
    lines = []
    for key in assets.get_all_asset_keys():
        lines.append(f"asset {name(key)} <- {names(assets.get(key).parent_keys)}")
        policy = assets.get(key).freshness_policy
        if isinstance(policy, CronFreshnessPolicy):
            lines.append(f"freshness {name(key)}: {policy.deadline_cron}, {policy.lower_bound_delta} before")
    for check in assets.asset_check_keys:
        blocking = " (blocking)" if assets.get(check).blocking else ""
        lines.append(f"check {name(check.asset_key)}:{check.name}{blocking}")
    lines += [
        f"job {job.name}: {names(job.asset_layer.selected_asset_keys)}"
        for job in repository.get_all_jobs()
        if not job.name.startswith("__")
    ]
    lines += [
        f"schedule {s.name}: {s.cron_schedule}, {s.default_status.value}" for s in repository.schedule_defs
    ]
    lines += [f"sensor {sensor.name}: {sensor.default_status.value}" for sensor in repository.sensor_defs]
    return "\n".join(sorted(lines)) + "\n"


def test_the_graph_is_the_one_that_was_reviewed() -> None:
    assert graph() == REVIEWED.read_text(), "see above in which lines the graph has changed"


if __name__ == "__main__":
    sys.stdout.write(graph())
