"""One local AWS per test process; tests make their names unique, so that they never wait for one another."""

import os
import uuid
from collections.abc import Iterator

import pytest

from local_aws.process import running

REGION = "us-east-1"


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Half as many again as there are cores: tests of whole machines wait as much as they compute."""
    return (os.cpu_count() or 1) * 3 // 2


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
