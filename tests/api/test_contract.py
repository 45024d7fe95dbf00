"""The served OpenAPI document holds: Schemathesis sends what it allows and what it doesn't, over HTTP."""

import uuid
from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from privacy_assets.api.services import Options
from tests.api.house import Api, running
from tests.api.test_scans import finding, put

ADDRESSES = (
    ("POST", "/token"),
    ("POST", "/events"),
    ("POST", "/scan"),
    ("GET", "/jobs/{job_id}"),
    ("GET", "/results"),
    ("GET", "/results.jsonl"),
    ("GET", "/results.csv"),
    ("GET", "/results.sarif"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
)
# What a schema allows may still be no event, a cursor of nothing, or wrong credentials.
NOT_HELD = [positive_data_acceptance, negative_data_rejection]
EXAMPLES = 20
OFTEN = 10**9


@pytest.fixture(scope="module")
def api(aws: str) -> Iterator[Api]:
    unique = uuid.uuid4().hex[:10]
    options = Options(requests_a_client=OFTEN, requests_an_address=OFTEN)
    with running(unique, options) as made:
        put(made, f"data-{unique}", [finding(f"data-{unique}", number) for number in range(50)])
        made.client()
        yield made


@pytest.fixture(scope="module")
def document(api: Api) -> schemathesis.BaseSchema:
    return schemathesis.openapi.from_url(f"{api.address}/openapi.json")


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
        case.call_and_validate(headers=headers, excluded_checks=NOT_HELD)

    try:
        ask()
    except (schemathesis.errors.SchemathesisError, Unsatisfiable):
        if mode is GenerationMode.POSITIVE:
            raise  # where nothing can be given, nothing can be given wrongly
    assert asked or mode is GenerationMode.NEGATIVE
