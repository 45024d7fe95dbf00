"""SQS: 20,000 messages in and out by one boto3 client with eight threads, singly and in batches of ten."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config

from local_aws.process import running

MESSAGES = 20_000
THREADS = 8
BODY = "x" * 300


def main() -> dict[str, Any]:
    """Messages a second for each way in and out, and of both ways together; prints them as JSON."""
    with running() as server:
        names = server.environment
        client = boto3.client(
            "sqs",
            endpoint_url=server.endpoint,
            region_name=names["AWS_REGION"],
            aws_access_key_id=names["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=names["AWS_SECRET_ACCESS_KEY"],
            config=Config(max_pool_connections=THREADS),
        )
        figures: dict[str, Any] = {"messages": MESSAGES, "threads": THREADS}
        for way, (send, drain) in WAYS.items():
            queue = client.create_queue(QueueName=f"bench-{way}")["QueueUrl"]
            into = _timed(lambda part, send=send, queue=queue: send(client, queue, part))
            out = _timed(lambda part, drain=drain, queue=queue: drain(client, queue, part))
            left = client.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
            assert (
                left["ApproximateNumberOfMessages"] == left["ApproximateNumberOfMessagesNotVisible"] == "0"
            ), left
            figures[way] = {
                "in_per_second": round(MESSAGES / into),
                "out_per_second": round(MESSAGES / out),
                "in_and_out_per_second": round(MESSAGES / (into + out)),
            }
    print(json.dumps(figures))
    return figures


def _timed(work: Callable[[int], None]) -> float:
    """Seconds that THREADS threads take, each for its share of the messages."""
    share = MESSAGES // THREADS
    started = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, [share] * THREADS))
    return time.perf_counter() - started


def _send_single(client: Any, queue: str, count: int) -> None:
    for _ in range(count):
        client.send_message(QueueUrl=queue, MessageBody=BODY)


def _send_batches(client: Any, queue: str, count: int) -> None:
    for start in range(0, count, 10):
        entries = [{"Id": str(n), "MessageBody": BODY} for n in range(start, min(start + 10, count))]
        client.send_message_batch(QueueUrl=queue, Entries=entries)


def _drain_single(client: Any, queue: str, count: int) -> None:
    for _ in range(count):
        (message,) = client.receive_message(QueueUrl=queue)["Messages"]
        client.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])


def _drain_batches(client: Any, queue: str, _: int) -> None:
    while messages := client.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages"):
        entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(messages)]
        client.delete_message_batch(QueueUrl=queue, Entries=entries)


WAYS = {"single": (_send_single, _drain_single), "batches": (_send_batches, _drain_batches)}

if __name__ == "__main__":
    main()
