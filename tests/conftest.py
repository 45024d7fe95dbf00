"""One local AWS per test process; tests make their names unique, so that they never wait for one another."""

import os
import uuid
from collections.abc import Iterator

import pytest

from local_aws.process import running

REGION = "us-east-1"


@pytest.fixture(scope="session")
def aws() -> Iterator[str]:
    """The endpoint of a fresh local AWS; the environment points every AWS client at it."""
    with running() as server:
        os.environ.update(server.environment)
        yield server.endpoint


@pytest.fixture
def unique() -> str:
    """A short name that no other test uses."""
    return uuid.uuid4().hex[:10]
