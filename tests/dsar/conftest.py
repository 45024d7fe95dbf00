"""One estate with four stores for each test."""

from pathlib import Path

import pytest

from tests.dsar.desk import Desk


@pytest.fixture
def desk(aws: str, unique: str, tmp_path: Path) -> Desk:
    """No approval is needed."""
    return Desk.build(aws, unique, tmp_path)


@pytest.fixture
def careful_desk(aws: str, unique: str, tmp_path: Path) -> Desk:
    """An erasure needs an approval."""
    return Desk.build(aws, unique, tmp_path, requests_policy={"approval": "delete"})
