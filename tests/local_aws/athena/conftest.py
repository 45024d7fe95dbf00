"""Fixtures: a bucket and a database of the test's own."""

import uuid

import boto3
import pytest

from tests.local_aws.athena.client import Athena


@pytest.fixture(scope="session")
def shared(aws: str) -> Athena:
    """For queries that leave nothing behind but results."""
    bucket = f"athena-{uuid.uuid4().hex[:10]}"
    boto3.client("s3").create_bucket(Bucket=bucket)
    return Athena(bucket)


@pytest.fixture
def athena(aws: str, unique: str) -> Athena:
    """A bucket and a database that no other test sees."""
    boto3.client("s3").create_bucket(Bucket=f"athena-{unique}")
    boto3.client("glue").create_database(DatabaseInput={"Name": f"d{unique}"})
    return Athena(f"athena-{unique}", f"d{unique}")
