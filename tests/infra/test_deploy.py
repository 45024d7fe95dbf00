"""``make deploy``: what it calls, in which order, and that it ends well however often it stopped before."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.parts import SERVICES
from privacy_assets.governed import PROJECT
from tests.infra import account as programs
from tests.infra.conftest import synthesize
from tests.infra.template import Templates

STACKS = ("data", "messaging", "compute", "observability")
DEPLOYED = {f"privacy-production-{name}" for name in STACKS}


@dataclass
class Deployment:
    """A clone of the project, and programs that stand for the account."""

    root: Path

    @property
    def file(self) -> Path:
        return self.root.parent / "account.json"

    def run(self, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "infra/deploy.sh"],
            cwd=self.root,
            env={
                **os.environ,
                "PATH": f"{self.root.parent / 'bin'}:{os.environ['PATH']}",
                "STAGE": "production",
                "ACCOUNT": str(self.file),
                **environment,
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def is_like(self, **account: Any) -> None:
        self.file.write_text(json.dumps({**programs.NEW, **account}))

    @property
    def account(self) -> dict[str, Any]:
        return dict(json.loads(self.file.read_text()))

    def said(self) -> Iterator[str]:
        """What was asked of the programs that change something."""
        for program, *words in self.account["calls"]:
            if program == "npx":
                yield " ".join(words[2:]).replace("--exclusively privacy-production-", "")
            elif words[:2] == ["ecs", "run-task"] or program == "docker":
                yield " ".join([program, *words[:2]])


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    root = tmp_path / "clone"
    (root / "infra").mkdir(parents=True)
    (root / "infra" / "deploy.sh").write_bytes((PROJECT / "infra" / "deploy.sh").read_bytes())
    (root / ".gitignore").write_text(".venv\n")
    here = f"PYTHONPATH={shlex.quote(str(PROJECT))} {shlex.quote(sys.executable)}"
    # What a stage is doesn't change between two calls, and takes a second to be read.
    known = f'test -f "{tmp_path}/$3" || {here} "$@" > "{tmp_path}/$3"; cat "{tmp_path}/$3"'
    for name, script in {
        **{f"bin/{name}": f'{here} -m tests.infra.account {name} "$@"' for name in programs.PROGRAMS},
        "clone/infra/.venv/bin/python": known,
    }.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"#!/bin/sh\n{script}\n")
        file.chmod(0o755)
    git = ["git", "-c", "user.name=nobody", "-c", "user.email=nobody@example.com"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "all"]):
        subprocess.run([*git, *words], cwd=root, check=True)
    found = Deployment(root)
    found.is_like()
    return found


def is_deployed(deployment: Deployment) -> bool:
    account = deployment.account
    whole = all(
        status.endswith(("CREATE_COMPLETE", "UPDATE_COMPLETE")) for status in account["stacks"].values()
    )
    return whole and {*account["stacks"]} == DEPLOYED and account["services"] == programs.SERVICES


FIRST = [
    "deploy data --no-rollback",
    "deploy messaging --no-rollback",
    "docker login --username",
    "docker buildx build",
    "deploy compute --no-rollback -c services=none",
    "aws ecs run-task",
    "deploy compute",
    "deploy observability --no-rollback",
]
LATER = ["deploy data", "deploy messaging", "deploy compute", "deploy observability"]


def test_the_first_time_the_user_is_made_before_services_run(deployment: Deployment) -> None:
    assert sorted(SERVICES) == sorted(programs.SERVICES)
    done = deployment.run()
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1].endswith(" to production")
    assert [*deployment.said()] == FIRST
    assert is_deployed(deployment)


def test_later_services_go_on(deployment: Deployment) -> None:
    assert deployment.run().returncode == 0
    deployment.is_like(**{**deployment.account, "calls": [], "exit": 1})
    assert deployment.run().returncode == 0
    assert [*deployment.said()] == LATER
    # One that a person has stopped does not stop the others.
    stopped = {**deployment.account["services"], "daemon": 0}
    deployment.is_like(**{**deployment.account, "calls": [], "services": stopped})
    assert deployment.run().returncode == 0
    assert [*deployment.said()] == LATER
    assert is_deployed(deployment)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (2, "exit code 2, Essential container in task exited"),
        (None, "exit code None, Essential container in task exited"),
        ("no capacity", "exit code none, not started"),
    ],
)
def test_a_task_that_fails_ends_it_and_says_where_to_look(
    deployment: Deployment, code: int | str | None, reason: str
) -> None:
    deployment.is_like(exit=code)
    done = deployment.run()
    assert done.returncode == 1
    assert f"{reason}; see the log group /privacy-assets/database" in done.stdout
    assert [*deployment.said()] == FIRST[: FIRST.index("aws ecs run-task") + 1]
    assert not any(deployment.account["services"].values())
    deployment.is_like(**{**deployment.account, "calls": [], "exit": 0})
    assert deployment.run().returncode == 0
    assert is_deployed(deployment)


@pytest.mark.parametrize("fails", ["FAILS", "FAILS_AFTER"])
def test_it_goes_on_from_wherever_it_stopped(deployment: Deployment, fails: str) -> None:
    assert deployment.run().returncode == 0
    calls = deployment.account["calls"]
    for number, call in enumerate(calls):
        if fails == "FAILS_AFTER" and call[0] == "aws" and "run-task" not in call:
            continue  # asked or not is the same
        deployment.is_like()
        stopped = deployment.run(**{fails: str(number)})
        told = f"{call}: {stopped.stdout}{stopped.stderr}"
        # An image that can't be looked for is built; a task that can't be waited for is looked at.
        if call[1:3] not in (["ecr", "describe-images"], ["ecs", "wait"]):
            assert stopped.returncode != 0, told
        again = deployment.run()
        assert again.returncode == 0, f"{told}{again.stdout}{again.stderr}"
        assert is_deployed(deployment), told


def test_another_account_is_refused(deployment: Deployment) -> None:
    deployment.is_like()
    done = deployment.run(STAGE="rehearsal")
    assert done.returncode == 2
    assert done.stdout.startswith("logged in to account 111122223333, expected 123456789012")
    assert [*deployment.said()] == []


def test_without_services_all_is_there_and_none_runs(templates: Templates, tmp_path: Path) -> None:
    synthesize(tmp_path, CDK_CONTEXT_JSON=json.dumps({"services": "none"}))
    found = Templates.read(tmp_path, "rehearsal")
    services = dict(found.documents["compute"]["Resources"])
    for name, resource in templates.documents["compute"]["Resources"].items():
        if resource["Type"] == "AWS::ECS::Service":
            assert services[name]["Properties"]["DesiredCount"] == 0, name
            assert resource["Properties"]["DesiredCount"] > 0, name
            services[name]["Properties"]["DesiredCount"] = resource["Properties"]["DesiredCount"]
    for stack, document in templates.documents.items():
        assert found.documents[stack] == document, stack
    assert not any("AutoScaling" in each.type for each in templates.all())


def test_another_word_for_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="context services=no: expected none"):
        synthesize(tmp_path, CDK_CONTEXT_JSON=json.dumps({"services": "no"}))
