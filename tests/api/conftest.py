from collections.abc import Iterator

import pytest

from tests.api.house import Api, running


@pytest.fixture
def api(aws: str, unique: str) -> Iterator[Api]:
    """An API of the test's own."""
    with running(unique) as made:
        yield made
