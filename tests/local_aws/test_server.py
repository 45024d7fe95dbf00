"""The server as a process, over HTTP, and from the command line."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.exceptions import ClientError

from local_aws import control, objects
from local_aws.process import running

ROOT = Path(__file__).parents[2]


def port_of(endpoint: str) -> int:
    return int(endpoint.rpartition(":")[2])


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"


def ends(pid: int, seconds: float = 30) -> bool:
    """Whether the process ends within the time; it isn't our child, so that it can't be waited for."""
    deadline = time.monotonic() + seconds
    while not gone(pid) and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    return gone(pid)


# --- HTTP


def statuses(endpoint: str, *raw: bytes) -> list[int]:
    """The statuses that raw requests, sent at once on one connection, are answered with."""
    found = []
    with socket.create_connection(("127.0.0.1", port_of(endpoint)), timeout=60) as connection:
        connection.sendall(b"".join(raw))
        with connection.makefile("rb") as answers:
            for _ in raw:
                found.append(int(answers.readline().split()[1]))
                headers = http.client.parse_headers(answers)
                answers.read(int(headers["Content-Length"]))
    return found


def test_a_connection_serves_many_requests(aws: str) -> None:
    with requests.Session() as session:
        for _ in range(3):
            answer = session.get(f"{aws}/_local/health", timeout=30)
            assert answer.status_code == 200
            assert answer.headers.get("Connection") is None
            assert abs(parsedate_to_datetime(answer.headers["Date"]) - datetime.now(UTC)) < timedelta(
                minutes=1
            )
    connection = http.client.HTTPConnection("127.0.0.1", port_of(aws), timeout=30)
    connection.request("GET", "/_local/health")
    used = connection.sock
    connection.getresponse().read()
    connection.request("GET", "/_local/health")
    assert connection.sock is used
    assert json.loads(connection.getresponse().read())["service"] == "local-aws"
    connection.close()


def test_requests_that_come_together_are_answered_in_order(aws: str) -> None:
    get = b"GET /_local/%s HTTP/1.1\r\nHost: x\r\n\r\n"
    assert statuses(aws, get % b"health", get % b"nothing", get % b"health") == [200, 404, 200]


def test_nonsense_is_refused(aws: str) -> None:
    assert statuses(aws, b"nonsense\r\n\r\n") == [400]


def test_browsers_are_refused(aws: str) -> None:
    answer = requests.post(f"{aws}/_local/stop", headers={"Origin": "https://example.com"}, timeout=30)
    assert answer.status_code == 403
    assert requests.get(f"{aws}/_local/health", timeout=30).status_code == 200


def test_it_listens_on_loopback_alone(aws: str) -> None:
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    here = [entry for entry in listening if entry[1].endswith(f":{port_of(aws):04X}") and entry[3] == "0A"]
    assert [entry[1].split(":")[0] for entry in here] == ["0100007F"]


@pytest.mark.parametrize("size", [0, 1, 70_000, 6_000_000])
def test_objects_of_any_size_come_back(aws: str, unique: str, size: int) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=unique)
    body = os.urandom(size)
    s3.put_object(Bucket=unique, Key="a b/ü+", Body=body, Metadata={"under_score": "x", "dash-ed": "y"})
    found = s3.get_object(Bucket=unique, Key="a b/ü+")
    assert found["Body"].read() == body
    assert found["Metadata"] == {"under_score": "x", "dash-ed": "y"}
    assert s3.head_object(Bucket=unique, Key="a b/ü+")["ContentLength"] == size
    (listed,) = s3.list_objects_v2(Bucket=unique)["Contents"]
    assert (listed["Key"], listed["Size"]) == ("a b/ü+", size)


def test_chunked_uploads_arrive_whole(aws: str, unique: str) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket=unique)
    url = s3.generate_presigned_url("put_object", Params={"Bucket": unique, "Key": "k"})
    parts: Iterator[bytes] = iter([b"one ", b"two ", b"three"])
    assert requests.put(url, data=parts, timeout=30).status_code == 200
    assert s3.get_object(Bucket=unique, Key="k")["Body"].read() == b"one two three"


def test_a_defect_of_one_call_ends_neither_server_nor_connection(aws: str) -> None:
    scope = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/sqs/aws4_request"
    with requests.Session() as session:
        headers = {"Authorization": scope, "X-Amz-Target": "AmazonSQS.NoSuchAction"}
        assert session.post(aws, headers=headers, data=b"{}", timeout=60).status_code >= 400
        assert session.get(f"{aws}/_local/health", timeout=60).status_code == 200


# --- objects for engines


def test_the_cache_of_objects_keeps_to_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from moto.s3.models import FakeKey, s3_backends

    monkeypatch.setattr(objects, "RESERVED", 2)
    cache = objects._Cache(limit=25)
    cache.configure(tmp_path / "cache")
    bucket = s3_backends[objects.ACCOUNT]["aws"].create_bucket(tmp_path.name, "us-east-1")
    for name in (f"key-{number}" for number in range(6)):
        fake = FakeKey(name, b"0123456789", objects.ACCOUNT, "us-east-1", bucket_name=bucket.name)
        bucket.keys.setlist(name, [fake])
    listed = objects.list_objects(tmp_path.name, "key-")
    paths = [cache.path(item) for item in listed]
    assert [path.exists() for path in paths] == [False] * 4 + [True] * 2
    assert cache.path(listed[0]).read_bytes() == b"0123456789"
    with pytest.raises(KeyError):
        objects.list_objects("no-such-bucket")


# --- the process


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from local_aws.process import running\n"
        "with running() as server:\n"
        "    print(server.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert parent.stdout is not None
    pid = int(parent.stdout.readline())
    assert not gone(pid)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert ends(pid)


def test_it_is_quiet_and_leaves_nothing_behind(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "local_aws", "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert process.stdout is not None
    endpoint = process.stdout.readline().strip().removeprefix("ready ")
    answer = requests.put(f"{endpoint}/bucket", timeout=60)
    assert answer.status_code == 200
    assert list(tmp_path.glob("local-aws-*"))
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")
    assert list(tmp_path.glob("local-aws-*")) == []


def test_a_state_directory_has_one_server(tmp_path: Path) -> None:
    with running(state=tmp_path):
        second = subprocess.run(
            [sys.executable, "-m", "local_aws", "--port", "0", "--state", str(tmp_path)],
            capture_output=True,
            text=True,
            cwd=ROOT,
            timeout=60,
            check=False,
        )
    assert second.returncode == 2
    assert second.stderr.count("\n") == 1
    assert "another local AWS uses it" in second.stderr


@pytest.mark.parametrize("name", ["LOCAL_AWS_EXPORT_SECONDS", "LOCAL_AWS_CRAWL_SECONDS"])
@pytest.mark.parametrize("value", ["a minute", "nan"])
def test_seconds_that_are_none_are_named(name: str, value: str) -> None:
    refused = subprocess.run(
        [sys.executable, "-m", "local_aws", "--port", "0"],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, name: value},
        timeout=60,
        check=False,
    )
    assert refused.returncode == 2
    assert refused.stderr == f"local_aws: {name}={value}: expected a number of seconds, 0 or more\n"


def test_motos_own_reset_empties_the_store_too(tmp_path: Path) -> None:
    with running() as server:
        names = server.environment
        sqs = boto3.client(
            "sqs",
            endpoint_url=server.endpoint,
            region_name="us-east-1",
            aws_access_key_id=names["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=names["AWS_SECRET_ACCESS_KEY"],
        )
        url = sqs.create_queue(QueueName="queue")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="x")
        assert requests.post(f"{server.endpoint}/moto-api/reset", timeout=60).status_code == 200
        with pytest.raises(ClientError):
            sqs.send_message(QueueUrl=url, MessageBody="x")
        assert (
            requests.get(f"{server.endpoint}/_local/health", timeout=60).json()["counts"]["sqs_messages"] == 0
        )


# --- the command line


def command(cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "local_aws.cli", *words],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=120,
        check=False,
    )


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def refused(result: subprocess.CompletedProcess[str]) -> str:
    """The one line of a command that could not do what it was asked."""
    assert result.returncode == 2, result
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1, result.stderr
    return result.stderr


def test_up_status_reset_down(tmp_path: Path) -> None:
    port = free_port()
    told = str(port)
    up = command(tmp_path, "up", "--port", told, "--state", "state", "--detach")
    assert (up.returncode, up.stderr) == (0, ""), up
    assert f"http://127.0.0.1:{port}" in up.stdout
    status: dict[str, Any] = json.loads(command(tmp_path, "status", "--port", told, "--json").stdout)
    try:
        assert status["running"] is True
        assert status["state"] == str(tmp_path / "state")
        assert json.loads((tmp_path / ".local" / f"aws-{port}.json").read_text())["pid"] == status["pid"]
        requests.put(f"http://127.0.0.1:{port}/bucket", timeout=60)
        assert "runs there already" in refused(command(tmp_path, "up", "--port", told))
        unasked = refused(command(tmp_path, "reset", "--port", told))
        assert f"port {port}: what is there is kept, in {tmp_path / 'state'}: --yes empties" in unasked
        assert requests.get(f"http://127.0.0.1:{port}/bucket", timeout=60).status_code == 200
        assert command(tmp_path, "reset", "--port", told, "--yes").returncode == 0
        assert requests.get(f"http://127.0.0.1:{port}/bucket", timeout=60).status_code == 404
    finally:
        down = command(tmp_path, "down", "--port", told)
    assert (down.returncode, gone(status["pid"])) == (0, True)
    assert not (tmp_path / ".local" / f"aws-{port}.json").exists()
    assert (tmp_path / ".local" / f"aws-{port}.log").read_text() == ""
    again = command(tmp_path, "down", "--port", told)
    assert (again.returncode, again.stdout) == (0, f"no local AWS runs on port {port}\n")
    absent = command(tmp_path, "status", "--port", told, "--json")
    assert (absent.returncode, json.loads(absent.stdout)) == (1, {"running": False, "port": port})
    assert "no local AWS runs there" in refused(command(tmp_path, "reset", "--port", told))


def test_up_in_the_foreground_ends_with_ctrl_c(tmp_path: Path) -> None:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "local_aws.cli", "up", "--port", str(port)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.stdout is not None
    assert f"ready at http://127.0.0.1:{port}" in process.stdout.readline()
    assert (tmp_path / ".local" / f"aws-{port}.json").exists()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")
    assert not (tmp_path / ".local" / f"aws-{port}.json").exists()


@pytest.fixture
def stranger() -> Iterator[int]:
    """A port on which something else answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

        thread = threading.Thread(target=answer)
        thread.start()
        yield int(listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize("words", [["up"], ["up", "--detach"], ["down"], ["status"], ["reset"]], ids=" ".join)
def test_a_port_that_is_taken_by_another(tmp_path: Path, stranger: int, words: list[str]) -> None:
    line = refused(command(tmp_path, *words, "--port", str(stranger)))
    assert f"port {stranger}: no local AWS, but something else listens there: choose another port" in line


def test_a_stale_record_ends_no_process(tmp_path: Path) -> None:
    port = free_port()
    innocent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        record = tmp_path / ".local" / f"aws-{port}.json"
        record.parent.mkdir()
        record.write_text(json.dumps({"pid": innocent.pid}))
        down = command(tmp_path, "down", "--port", str(port))
        assert (down.returncode, down.stdout) == (0, f"no local AWS runs on port {port}\n")
        assert innocent.poll() is None
        assert not record.exists()
    finally:
        innocent.communicate(b"\n", timeout=30)


def test_a_state_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    line = refused(command(tmp_path, "up", "--port", "0", "--detach", "--state", "file/state"))
    assert "file/state: can't be written" in line
    assert not list((tmp_path / ".local").iterdir())


def test_env_is_what_a_shell_evaluates(tmp_path: Path) -> None:
    script = (
        f'eval "$({sys.executable} -m local_aws.cli env --port 4999)" && '
        f"{sys.executable} -c 'import boto3; print(boto3.client(\"sqs\").meta.endpoint_url)'"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    shell = subprocess.run(
        ["/bin/sh", "-c", script],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**clean, "PYTHONPATH": str(ROOT)},
        timeout=120,
        check=True,
    )
    assert shell.stdout == "http://127.0.0.1:4999\n"


def test_a_server_that_does_not_stop_is_killed_only_when_it_is_on_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control, "_STOP_SECONDS", 0.5)
    port = free_port()
    assert command(tmp_path, "up", "--port", str(port), "--detach").returncode == 0
    found = control.find(port)
    assert found is not None
    record = control.record_path(tmp_path / ".local", port)
    kept = record.read_text()
    call = control._call

    def deaf(port: int, method: str, name: str) -> dict[str, Any]:
        return {} if name == "stop" else call(port, method, name)

    monkeypatch.setattr(control, "_call", deaf)
    record.unlink()
    with pytest.raises(control.ControlError, match="no record"):
        control.stop(port, tmp_path / ".local")
    assert not gone(found.pid)
    record.write_text(kept)
    assert control.stop(port, tmp_path / ".local") == found
    assert ends(found.pid)
