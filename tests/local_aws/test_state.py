"""State that is kept survives the end of the server, also the sudden one, and comes back the same."""

import json
import os
import random
import signal
import threading
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from local_aws.process import Server, running

ACCOUNT = "123456789012"
ARN = f"arn:aws:sqs:us-east-1:{ACCOUNT}"


def client(server: Server, service: str, **config: Any) -> Any:
    names = server.environment
    return boto3.client(
        service,
        endpoint_url=server.endpoint,
        region_name=names["AWS_REGION"],
        aws_access_key_id=names["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=names["AWS_SECRET_ACCESS_KEY"],
        config=Config(**config) if config else None,
    )


def kill(server: Server) -> None:
    os.kill(server.pid, signal.SIGKILL)


class Account:
    """Random changes of an account through every service whose state is kept, and a look at all of it."""

    def __init__(self, server: Server, seed: int) -> None:
        self.random = random.Random(seed)
        services = ("s3", "sqs", "dynamodb", "glue", "sns", "events", "iam", "athena")
        self.of = {name: client(server, name) for name in services}
        self.url = f"{server.endpoint}/{ACCOUNT}"

    def create(self) -> None:
        s3, events, sns = self.of["s3"], self.of["events"], self.of["sns"]
        for bucket in ("plain", "versioned"):
            s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
        for name in ("events", "news", "work"):
            self.of["sqs"].create_queue(QueueName=name)
        s3.put_bucket_notification_configuration(
            Bucket="versioned", NotificationConfiguration={"EventBridgeConfiguration": {}}
        )
        events.put_rule(Name="created", EventPattern=json.dumps({"detail-type": ["Object Created"]}))
        target = {"Id": "1", "Arn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:events"}
        events.put_targets(Rule="created", Targets=[target])
        topic = sns.create_topic(Name="topic")["TopicArn"]
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:us-east-1:{ACCOUNT}:news")
        self.of["glue"].create_database(DatabaseInput={"Name": "db"})

    def change(self, number: int) -> None:
        changes = [self._put, self._put, self._delete, self._copy, self._upload, self._queue, self._table]
        changes += [self._catalog, self._publish, self._role, self._workgroup, self._refused]
        self.random.choice(changes)(number)

    def _bucket(self) -> str:
        return self.random.choice(("plain", "versioned"))

    def _key(self) -> str:
        return f"key-{self.random.randrange(6)} ü/&"

    def _put(self, number: int) -> None:
        self.of["s3"].put_object(
            Bucket=self._bucket(),
            Key=self._key(),
            Body=f"body {number}",
            Metadata={"under_score": str(number)},
        )

    def _delete(self, _: int) -> None:
        try:
            self.of["s3"].delete_object(Bucket=self._bucket(), Key=self._key())
        except ClientError:
            return

    def _copy(self, number: int) -> None:
        self.of["s3"].put_object(Bucket="plain", Key="source", Body=f"source {number}")
        source = {"Bucket": "plain", "Key": "source"}
        self.of["s3"].copy_object(Bucket="versioned", Key=self._key(), CopySource=source)

    def _upload(self, number: int) -> None:
        s3, here = self.of["s3"], {"Bucket": "versioned", "Key": self._key()}
        here["UploadId"] = s3.create_multipart_upload(**here)["UploadId"]
        part = s3.upload_part(**here, PartNumber=1, Body=f"part {number}")
        parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
        s3.complete_multipart_upload(**here, MultipartUpload={"Parts": parts})

    def _queue(self, number: int) -> None:
        sqs, url = self.of["sqs"], f"{self.url}/work"
        sqs.send_message(QueueUrl=url, MessageBody=f"work {number}", DelaySeconds=0)
        for message in sqs.receive_message(QueueUrl=url, VisibilityTimeout=600).get("Messages", []):
            if self.random.random() < 0.5:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    def _table(self, number: int) -> None:
        self.of["dynamodb"].create_table(
            TableName=f"table-{number}",
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def _catalog(self, number: int) -> None:
        columns = [{"Name": "a", "Type": "string"}]
        described = {
            "Name": f"t{number}",
            "StorageDescriptor": {"Columns": columns, "Location": "s3://plain/"},
        }
        self.of["glue"].create_table(DatabaseName="db", TableInput=described)

    def _publish(self, number: int) -> None:
        self.of["sns"].publish(TopicArn=f"arn:aws:sns:us-east-1:{ACCOUNT}:topic", Message=f"news {number}")

    def _role(self, number: int) -> None:
        self.of["iam"].create_role(RoleName=f"role-{number}", AssumeRolePolicyDocument="{}")

    def _workgroup(self, number: int) -> None:
        self.of["athena"].create_work_group(Name=f"group-{number}")

    def _refused(self, _: int) -> None:
        with pytest.raises(ClientError):
            self.of["s3"].put_object(Bucket="no-such-bucket", Key="x", Body="x")
        with pytest.raises(ClientError):
            self.of["glue"].create_database(DatabaseInput={"Name": "db"})

    def seen(self) -> dict[str, Any]:
        """All that a client can see, but what differs from call to call."""
        s3, ddb, glue = self.of["s3"], self.of["dynamodb"], self.of["glue"]
        versions = {name: s3.list_object_versions(Bucket=name) for name in ("plain", "versioned")}
        objects = {
            (bucket, item["Key"], item["VersionId"]): self._object(bucket, item)
            for bucket, found in versions.items()
            for item in found.get("Versions", [])
        }
        return {
            "versions": {name: (v.get("Versions"), v.get("DeleteMarkers")) for name, v in versions.items()},
            "objects": objects,
            "buckets": s3.list_buckets()["Buckets"],
            "notifications": _bare(s3.get_bucket_notification_configuration(Bucket="versioned")),
            "tables": [ddb.describe_table(TableName=n)["Table"] for n in ddb.list_tables()["TableNames"]],
            "catalog": glue.get_tables(DatabaseName="db")["TableList"],
            "rules": self.of["events"].list_targets_by_rule(Rule="created")["Targets"],
            "topics": self.of["sns"].list_subscriptions()["Subscriptions"],
            "roles": self.of["iam"].list_roles()["Roles"],
            "workgroups": sorted(g["Name"] for g in self.of["athena"].list_work_groups()["WorkGroups"]),
            "queues": {name: self._attributes(name) for name in ("events", "news", "work")},
        }

    def _object(self, bucket: str, item: dict[str, Any]) -> tuple[Any, ...]:
        found = self.of["s3"].get_object(Bucket=bucket, Key=item["Key"], VersionId=item["VersionId"])
        return found["Body"].read(), found["Metadata"], found["LastModified"], found["ETag"]

    def _attributes(self, name: str) -> dict[str, str]:
        found: dict[str, str] = self.of["sqs"].get_queue_attributes(
            QueueUrl=f"{self.url}/{name}", AttributeNames=["All"]
        )["Attributes"]
        return found

    def messages(self, name: str) -> list[tuple[str, str, str]]:
        """The visible messages of a queue; they stay."""
        found = []
        while (
            batch := self.of["sqs"]
            .receive_message(
                QueueUrl=f"{self.url}/{name}", MaxNumberOfMessages=10, AttributeNames=["SentTimestamp"]
            )
            .get("Messages")
        ):
            found += [(m["MessageId"], m["Body"], m["Attributes"]["SentTimestamp"]) for m in batch]
        return sorted(found)


def _bare(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "ResponseMetadata"}


def test_everything_acknowledged_is_there_after_a_kill(tmp_path: Path) -> None:
    seed = 7
    with running(state=tmp_path) as server:
        account = Account(server, seed)
        account.create()
        for number in range(60):
            account.change(number)
        before = account.seen()
        kill(server)
    with running(state=tmp_path) as server:
        again = Account(server, seed)
        after = again.seen()
        assert after == before
        for number in range(60, 80):  # it goes on as if nothing had been
            again.change(number)
        before = again.seen()
        kill(server)
    with running(state=tmp_path) as server:
        account = Account(server, seed)
        assert account.seen() == before
        told = account.messages("events")
        made = before["versions"]["versioned"][0]
        assert len(told) == len(made)  # each version was told once, and not again by a replay


def test_a_kill_amid_a_stream_of_puts_loses_none_that_was_acknowledged(tmp_path: Path) -> None:
    acknowledged: list[tuple[str, str, str]] = []
    sent: list[str] = []
    enough = threading.Event()
    with running(state=tmp_path) as server:
        client(server, "s3").create_bucket(Bucket="bucket")
        client(server, "s3").put_bucket_versioning(
            Bucket="bucket", VersioningConfiguration={"Status": "Enabled"}
        )
        queue = client(server, "sqs").create_queue(QueueName="queue")["QueueUrl"]

        def put(worker: int) -> None:
            s3 = client(server, "s3", retries={"total_max_attempts": 1})
            sqs = client(server, "sqs", retries={"total_max_attempts": 1})
            try:
                for number in range(10_000):
                    key = f"{worker}-{number}"
                    answer = s3.put_object(Bucket="bucket", Key=key, Body=key.encode())
                    acknowledged.append((key, answer["VersionId"], answer["ETag"]))
                    sent.append(sqs.send_message(QueueUrl=queue, MessageBody=key)["MessageId"])
                    if len(acknowledged) > 100:
                        enough.set()
            except (BotoCoreError, ClientError):
                return

        workers = [threading.Thread(target=put, args=(number,)) for number in range(4)]
        for worker in workers:
            worker.start()
        assert enough.wait(120)
        kill(server)
        for worker in workers:
            worker.join()
    with running(state=tmp_path) as server:
        s3 = client(server, "s3")
        pages = s3.get_paginator("list_object_versions").paginate(Bucket="bucket")
        found = {(v["Key"], v["VersionId"], v["ETag"]) for page in pages for v in page["Versions"]}
        assert set(acknowledged) <= found
        assert len(found) <= len(acknowledged) + len(workers)  # at most what was under way
        sqs = client(server, "sqs")
        url = sqs.get_queue_url(QueueName="queue")["QueueUrl"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        count = int(attributes["ApproximateNumberOfMessages"])
        assert len(sent) <= count <= len(sent) + len(workers)


def test_reset_empties_all_and_for_good(tmp_path: Path) -> None:
    with running(state=tmp_path) as server:
        account = Account(server, 1)
        account.create()
        for number in range(10):
            account.change(number)
        assert requests.post(f"{server.endpoint}/_local/reset", timeout=60).status_code == 200
        assert account.of["s3"].list_buckets()["Buckets"] == []
        client(server, "s3").create_bucket(Bucket="after")
        account.of["sqs"].create_queue(QueueName="work")
        assert account.messages("work") == []
        kill(server)
    with running(state=tmp_path) as server:
        s3 = client(server, "s3")
        assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == ["after"]
        assert client(server, "dynamodb").list_tables()["TableNames"] == []
        health = requests.get(f"{server.endpoint}/_local/health", timeout=60).json()
        assert health["counts"]["journal_entries"] == 2
        assert health["state"] == str(tmp_path)


def test_reading_and_refused_calls_leave_no_trace(tmp_path: Path) -> None:
    with running(state=tmp_path) as server:

        def entries() -> int:
            health = requests.get(f"{server.endpoint}/_local/health", timeout=60).json()
            return int(health["counts"]["journal_entries"])

        s3, sqs, iam = (client(server, name) for name in ("s3", "sqs", "iam"))
        s3.create_bucket(Bucket="bucket")
        url = sqs.create_queue(QueueName="queue")["QueueUrl"]
        assert entries() == 2
        s3.list_buckets()
        s3.head_bucket(Bucket="bucket")
        iam.list_roles()
        sqs.send_message(QueueUrl=url, MessageBody="x")
        sqs.receive_message(QueueUrl=url)
        client(server, "kms").list_keys()
        client(server, "sts").get_caller_identity()
        with pytest.raises(ClientError):
            s3.create_bucket(Bucket="no")
        assert entries() == 2
        iam.create_role(RoleName="role", AssumeRolePolicyDocument="{}")
        assert entries() == 3


def test_queues_and_keys_survive_a_kill(tmp_path: Path) -> None:
    with running(state=tmp_path) as server:
        sqs, kms = client(server, "sqs"), client(server, "kms")
        for body in ("first", "second", "third"):
            url = sqs.create_queue(QueueName="queue")["QueueUrl"]
            sqs.send_message(QueueUrl=url, MessageBody=body)
            if body == "first":
                sqs.delete_queue(QueueUrl=url)
        (in_flight,) = sqs.receive_message(QueueUrl=url, VisibilityTimeout=600)["Messages"]
        dead = sqs.create_queue(QueueName="dead")["QueueUrl"]
        policy = json.dumps({"deadLetterTargetArn": f"{ARN}:dead", "maxReceiveCount": 1})
        sqs.create_queue(QueueName="source", Attributes={"RedrivePolicy": policy})
        for body in ("one", "two", "three"):
            sqs.send_message(QueueUrl=dead, MessageBody=body)
        sqs.start_message_move_task(
            SourceArn=f"{ARN}:dead", DestinationArn=f"{ARN}:source", MaxNumberOfMessagesPerSecond=1
        )
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        secret = kms.encrypt(KeyId=key, Plaintext=b"secret")["CiphertextBlob"]
        kill(server)
    with running(state=tmp_path) as server:
        sqs = client(server, "sqs")
        url = sqs.get_queue_url(QueueName="queue")["QueueUrl"]
        found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10)["Messages"]
        assert (in_flight["Body"], [message["Body"] for message in found]) == ("second", ["third"])
        sqs.delete_message(QueueUrl=url, ReceiptHandle=in_flight["ReceiptHandle"])
        sqs.change_message_visibility(
            QueueUrl=url, ReceiptHandle=found[0]["ReceiptHandle"], VisibilityTimeout=0
        )
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert attributes["ApproximateNumberOfMessages"] == "1"
        assert attributes["ApproximateNumberOfMessagesNotVisible"] == "0"
        source = sqs.get_queue_url(QueueName="source")["QueueUrl"]
        sent_back = [
            sqs.receive_message(QueueUrl=source, WaitTimeSeconds=20)["Messages"][0]["Body"] for _ in range(3)
        ]
        assert sorted(sent_back) == ["one", "three", "two"]  # the task went on
        assert client(server, "kms").decrypt(CiphertextBlob=secret)["Plaintext"] == b"secret"


def test_a_long_poll_holds_nobody_up(tmp_path: Path) -> None:
    with running(state=tmp_path) as server:
        sqs, s3 = client(server, "sqs"), client(server, "s3")
        url = sqs.create_queue(QueueName="queue")["QueueUrl"]
        polled: list[Any] = []
        poll = threading.Thread(
            target=lambda: polled.append(sqs.receive_message(QueueUrl=url, WaitTimeSeconds=20))
        )
        poll.start()
        s3.create_bucket(Bucket="bucket")
        assert poll.is_alive()
        sqs.send_message(QueueUrl=url, MessageBody="x")
        poll.join(15)
        assert polled[0]["Messages"][0]["Body"] == "x"


def test_what_a_key_encrypted_before_the_end_it_decrypts_after(tmp_path: Path) -> None:
    """Moto makes an account when it is first asked, here by a question that is not journaled."""
    with running(state=tmp_path) as server:
        kms = client(server, "kms")
        with pytest.raises(ClientError, match="NotFound"):
            kms.describe_key(KeyId="alias/mine")
        key = kms.create_key()["KeyMetadata"]["KeyId"]
        kms.create_alias(AliasName="alias/mine", TargetKeyId=key)
        sealed = kms.generate_data_key(KeyId="alias/mine", KeySpec="AES_256")
    for _ in range(2):
        with running(state=tmp_path) as server:
            kms = client(server, "kms")
            assert kms.describe_key(KeyId="alias/mine")["KeyMetadata"]["KeyId"] == key
            assert kms.decrypt(CiphertextBlob=sealed["CiphertextBlob"])["Plaintext"] == sealed["Plaintext"]
