"""The served OpenAPI document holds: Schemathesis sends what it allows and what it doesn't, over HTTP."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from privacy_assets.api.clients import SCOPES
from privacy_assets.api.rotation import ensure_keys
from privacy_assets.api.server import services
from privacy_assets.api.services import Options
from privacy_assets.governed import governed_estate, table_shapes
from resources.api_secrets import ApiSecrets
from resources.api_state import ApiState
from resources.provision import provision
from tests.api.house import Api, served

ADDRESSES = (
    ("POST", "/token"),
    ("POST", "/events"),
    ("POST", "/scan"),
    ("GET", "/jobs/{job_id}"),
    ("GET", "/results"),
    ("GET", "/results.jsonl"),
    ("GET", "/results.csv"),
    ("GET", "/results.sarif"),
    ("POST", "/dsar"),
    ("GET", "/dsar/{job_id}"),
    ("GET", "/dsar/{job_id}/events"),
    ("GET", "/dsar/{job_id}/download"),
    ("POST", "/dsar/{job_id}/approval"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
)
# What a schema allows may still be no event, a cursor of nothing, or wrong credentials.
NOT_HELD = [positive_data_acceptance, negative_data_rejection]
EXAMPLES = 20
OFTEN = 10**9


@pytest.fixture(scope="module")
def api(aws: str) -> Iterator[Api]:
    """The API as it is served, on all that the product stands on, under the names that it has by default."""
    estate = governed_estate()
    provision(table_shapes(estate))
    made = services(estate)
    made.options = Options(requests_a_client=OFTEN, requests_an_address=OFTEN)
    secrets = ApiSecrets.from_settings()
    ensure_keys(secrets)
    served_here = Api("contract", secrets, ApiState.from_settings(), made)
    served_here.client(scopes=list(SCOPES))
    with served(served_here):
        yield served_here


@pytest.fixture(scope="module")
def document(api: Api) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{api.address}/openapi.json")


def test_when_it_is_ready_nothing_that_a_first_call_needs_is_left_to_be_made(api: Api) -> None:
    with api.http() as http:
        while http.get("/readyz").status_code != 200:
            pass
    requests = api.services.requests
    assert {"_resources", "register", "log"} <= set(vars(requests))
    assert requests.log._loaded
    assert api.services.findings._latest[0] > 0  # type: ignore[attr-defined]  # of what serves
    assert api.services.events._url  # type: ignore[attr-defined]  # of what serves


def test_every_address_is_tried(document: schemathesis.BaseSchema) -> None:
    served = {(each.ok().method.upper(), each.ok().path) for each in document.get_all_operations()}
    assert served == set(ADDRESSES)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["valid", "invalid"])
@pytest.mark.parametrize(("method", "path"), ADDRESSES, ids=[path for _, path in ADDRESSES])
def test_no_answer_is_undocumented(
    api: Api, document: schemathesis.BaseSchema, method: str, path: str, mode: GenerationMode
) -> None:
    """No 5xx, and status, type, headers and body of every answer as documented."""
    operation = document[path][method]
    headers = {} if path in ("/token", "/healthz", "/readyz") else api.bearer(api.credentials())
    asked = 0

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        nonlocal asked
        asked += 1
        case.call_and_validate(headers=headers, excluded_checks=NOT_HELD, timeout=120)

    try:
        ask()
    except (schemathesis.errors.SchemathesisError, Unsatisfiable):
        if mode is GenerationMode.POSITIVE:
            raise  # where nothing can be given, nothing can be given wrongly
    assert asked or mode is GenerationMode.NEGATIVE
