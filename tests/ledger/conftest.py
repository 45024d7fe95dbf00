import pytest

from resources import provision_ledger
from resources.ledger import LedgerResource
from resources.provision import KINDS, Place
from tests.house import ledger_names, ledger_resource


@pytest.fixture
def ledger(aws: str, unique: str) -> LedgerResource:
    """A ledger of its own on local AWS."""
    names = ledger_names(unique)
    kinds = {**KINDS, **provision_ledger.kinds()}
    for resource in provision_ledger.shapes(names, Place.live()):
        kinds[resource.kind].create(resource.name, resource.shape)
    return ledger_resource(names)
