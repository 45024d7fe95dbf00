"""``up``: everything answers when it says so, and all of it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from privacy_assets.machine.stack import free_port
from tests.processes import processes_of

COMMAND = [sys.executable, "-c", "from privacy_assets.cli import main; main()", "up"]
GRAPHQL = """{ repositoriesOrError { ... on RepositoryConnection { nodes {
    schedules { name scheduleState { status } } sensors { name sensorState { status } } } } } }"""


RELOAD = """mutation { reloadRepositoryLocation(repositoryLocationName: "privacy_assets") { __typename } }"""


def query(address: str, text: str) -> Any:
    request = urllib.request.Request(
        f"{address}/graphql", json.dumps({"query": text}).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["data"]


def ask(address: str) -> dict[str, dict[str, str]]:
    """The status of each schedule and sensor, by kind and name."""
    (node,) = query(address, GRAPHQL)["repositoriesOrError"]["nodes"]
    return {
        kind: {each["name"]: each[f"{kind}State"]["status"] for each in node[f"{kind}s"]}
        for kind in ("schedule", "sensor")
    }


def forking(state: Path) -> set[int]:
    """The processes that runs are forked from; a run is one that such a process is the parent of."""
    found = {number for number, said in processes_of(state).items() if "multiprocessing.forkserver" in said}
    return {number for number in found if parent(number) not in found}


def parent(number: int) -> int:
    """By proc(5): the second field behind the command, which is in parentheses."""
    return int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.parametrize("number", [signal.SIGTERM])
def test_all_answers_when_it_says_so_and_ends_when_it_is_told(tmp_path: Path, number: signal.Signals) -> None:
    # Longer than a socket's path may be.
    port, aws_port, state = free_port(), free_port(), tmp_path / "a-folder-of-a-long-name" / ("up" * 40)
    process = subprocess.Popen(
        [
            *(*COMMAND, "--port", str(port), "--aws-port", str(aws_port)),
            *("--state", str(state), "--records", "1000"),
        ],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert process.stderr is not None
    try:
        said: list[str] = []
        for line in process.stderr:
            said.append(line)
            if f"http://127.0.0.1:{port}" in line:
                break
        else:
            pytest.fail(f"it ended with {process.wait(60)} and said: {''.join(said)}")
        states = ask(f"http://127.0.0.1:{port}")
        schedules = (
            "daily_checkpoint",
            "hourly_events",
            "nightly_exports",
            "nightly_scans",
            "secret_rotation",
        )
        assert states["schedule"] == dict.fromkeys(schedules, "RUNNING")
        assert states["sensor"]["export_complete"] == "RUNNING"
        with urllib.request.urlopen(f"http://127.0.0.1:{aws_port}/_local/health") as answer:
            assert json.load(answer)["state"] == str(state / "aws")
        forks = forking(state)
        assert len(forks) == 1
        reloaded = query(f"http://127.0.0.1:{port}", RELOAD)["reloadRepositoryLocation"]
        assert reloaded["__typename"] == "WorkspaceLocationEntry"
        assert forking(state) - forks  # what has changed is read by runs too
    finally:
        process.send_signal(number)
        rest = process.stderr.read()
    assert process.wait(60) == 0, rest
    assert "all has ended" in rest
    assert "Traceback" not in rest
    assert not processes_of(state)
    assert not (state / "tmp").exists()
    assert not (state / "sample-unfinished").exists()


@pytest.mark.parametrize("option", ["--port", "--aws-port"])
def test_a_port_in_use_is_one_line(tmp_path: Path, option: str) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        other = "--aws-port" if option == "--port" else "--port"
        command = [*COMMAND, option, str(port), other, str(free_port()), "--state", str(tmp_path / "up")]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 2
    assert ended.stderr == (
        f"privacy-assets: port {port}: in use, expected a free one: name another, or end what uses it\n"
    )
    assert not (tmp_path / "up").exists()
