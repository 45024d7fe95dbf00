import pytest

from resources.ledger import LedgerResource
from tests.house import new_ledger


@pytest.fixture
def ledger(aws: str, unique: str) -> LedgerResource:
    """A ledger of its own on local AWS."""
    return new_ledger(unique)
