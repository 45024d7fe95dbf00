"""``account.py PROGRAM ARGUMENT…``: an AWS account as ``infra/deploy.sh`` sees it, in a file that lists the
calls.

It stands for ``aws``, ``npx`` and ``docker``, of which none can be run without an account. Answers have the
form of the service's, and ``--query`` is evaluated by the library that the AWS CLI uses. A stack of
CloudFormation passes through the states that it would; services get healthy when their database has its
user, else their stack fails.

``ACCOUNT`` names the file; ``FAILS`` is the number of a call that fails, ``FAILS_AFTER`` of one that fails
after it was carried out.
"""

import fcntl
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jmespath

SERVICES = {"webserver": 1, "auditors": 1, "daemon": 1, "code": 1, "api": 2}
NEW: Mapping[str, Any] = {
    "calls": [],
    "stacks": {},
    "cluster": False,
    "services": {},
    "images": [],
    "user": False,
    "exit": 0,  # of the task that makes the user; None when its container did not start
}
PAUSED = ("CREATE_FAILED", "UPDATE_FAILED")
"""What a stack that failed without being undone is in: it goes on with ``--no-rollback`` alone."""
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"], "assignPublicIp": "DISABLED"}}

Account = dict[str, Any]


class FailedError(Exception):
    """The program ends with an error."""


def _aws(account: Account, words: list[str]) -> Any:
    answer = AWS[words[0], words[1]](account, words)
    if "--query" in words:
        answer = jmespath.search(_option(words, "--query"), answer)
    if _option(words, "--output") == "text":
        return _text(answer)
    return json.dumps(answer)


def _option(words: list[str], name: str) -> str:
    return words[words.index(name) + 1] if name in words else ""


def _text(answer: Any) -> str:
    if isinstance(answer, list):
        return "\t".join(_text(each) for each in answer)
    return str(answer)


def _describe_services(account: Account, words: list[str]) -> Any:
    if not account["cluster"]:
        raise FailedError("ClusterNotFoundException: Cluster not found.")
    asked = words[words.index("--services") + 1 :]
    return {
        "services": [
            {"serviceName": name, "desiredCount": count, "networkConfiguration": NETWORK}
            for name, count in account["services"].items()
            if name in asked
        ]
    }


def _describe_clusters(account: Account, words: list[str]) -> Any:
    there = account["cluster"]
    return {"clusters": [{"clusterName": "privacy-assets", "status": "ACTIVE"}] if there else []}


def _run_task(account: Account, words: list[str]) -> Any:
    assert _option(words, "--task-definition") == "privacy-database"
    assert json.loads(_option(words, "--network-configuration")) == NETWORK
    if account["exit"] == "no capacity":
        return {"tasks": [], "failures": [{"reason": "no capacity"}]}
    account["user"] = account["user"] or account["exit"] == 0
    return {"tasks": [{"taskArn": "arn:aws:ecs:eu-central-1:111122223333:task/privacy-assets/1"}]}


def _describe_tasks(account: Account, words: list[str]) -> Any:
    container = {} if account["exit"] is None else {"exitCode": account["exit"]}
    return {"tasks": [{"containers": [container], "stoppedReason": "Essential container in task exited"}]}


def _describe_images(account: Account, words: list[str]) -> Any:
    if _option(words, "--image-ids").removeprefix("imageTag=") not in account["images"]:
        raise FailedError("ImageNotFoundException")
    return {}


AWS: Mapping[tuple[str, str], Callable[[Account, list[str]], Any]] = {
    ("sts", "get-caller-identity"): lambda account, words: {"Account": "111122223333"},
    ("cloudformation", "describe-stacks"): lambda account, words: {
        "Stacks": [{"StackName": name, "StackStatus": status} for name, status in account["stacks"].items()]
    },
    ("ecr", "describe-images"): _describe_images,
    ("ecr", "get-login-password"): lambda account, words: "",
    ("ecs", "describe-clusters"): _describe_clusters,
    ("ecs", "describe-services"): _describe_services,
    ("ecs", "run-task"): _run_task,
    ("ecs", "wait"): lambda account, words: {},
    ("ecs", "describe-tasks"): _describe_tasks,
}


def _npx(account: Account, words: list[str]) -> str:
    """``cdk deploy --exclusively STACK``."""
    _, program, command, exclusively, stack, *rest = words
    assert (program.partition("@")[0], command, exclusively) == ("aws-cdk", "deploy", "--exclusively")
    before, undone = account["stacks"].get(stack), "--no-rollback" not in rest
    if before in PAUSED and undone:
        raise FailedError(f"Stack is in a paused fail state ({before}), rollback? (y/n)")
    if before == "ROLLBACK_COMPLETE":
        raise FailedError(f"Stack [{stack}] cannot be deleted while TerminationProtection is enabled")
    if stack.endswith("-compute"):
        none = _option(rest, "-c") == "services=none"
        if none and any(account["services"].values()):
            raise AssertionError("services were stopped")
        wanted = dict.fromkeys(SERVICES, 0) if none else SERVICES
        if any(wanted.values()) and not account["user"]:
            _fail(account, stack, undone=undone)
            raise FailedError("services did not get healthy")
        account.update(cluster=True, services=dict(wanted))
    account["stacks"][stack] = "UPDATE_COMPLETE" if before else "CREATE_COMPLETE"
    return ""


def _fail(account: Account, stack: str, *, undone: bool) -> None:
    account["cluster"] = account["cluster"] or stack.endswith("-compute")
    if account["stacks"].get(stack) is None:
        account["stacks"][stack] = "ROLLBACK_COMPLETE" if undone else "CREATE_FAILED"
    else:
        account["stacks"][stack] = "UPDATE_ROLLBACK_COMPLETE" if undone else "UPDATE_FAILED"


def _docker(account: Account, words: list[str]) -> str:
    if words[0] == "buildx":
        account["images"].append(_option(words, "-t").rpartition(":")[2])
    return ""


PROGRAMS: Mapping[str, Callable[[Account, list[str]], str]] = {"aws": _aws, "npx": _npx, "docker": _docker}


def carry_out(account: Account, program: str, words: list[str]) -> str:
    """What the program says. Raises FailedError."""
    number = str(len(account["calls"]))
    account["calls"].append([program, *words])
    if os.environ.get("FAILS") == number:
        if program == "npx":
            _fail(account, words[4], undone="--no-rollback" not in words)
        raise FailedError("failed")
    said = PROGRAMS[program](account, words)
    if os.environ.get("FAILS_AFTER") == number:
        raise FailedError("failed after it was done")
    return said


def main() -> None:
    if "--password-stdin" in sys.argv:
        sys.stdin.read()
    with Path(os.environ["ACCOUNT"]).open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        account = json.load(file)
        try:
            sys.stdout.write(f"{carry_out(account, sys.argv[1], sys.argv[2:])}\n")
        except FailedError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(1)
        finally:
            file.seek(0)
            file.truncate()
            json.dump(account, file)


if __name__ == "__main__":
    main()
