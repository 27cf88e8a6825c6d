"""The published document says what the server does, to programs that write their own requests from it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from serving_process import Running, ask, running

from edgevision.descriptions.datatypes import NUMPY_NAMES
from edgevision.system.token import new_token
from tiny_bundles import classifier_artifact, write_artifacts

pytest.importorskip("starlette", reason="needs the extra `serve`")
pytest.importorskip("uvicorn", reason="needs the extra `serve`")
pytest.importorskip("ai_edge_litert")

#: Requests for each address; the whole run takes more: EDGEVISION_OPENAPI_EXAMPLES=500.
EXAMPLES = int(os.environ.get("EDGEVISION_OPENAPI_EXAMPLES", "8"))
TOKEN = new_token()
#: Which tensors a model takes is not in the document, which is for all models; the token is optional.
NOT_CHECKED = ("positive_data_acceptance", "ignored_auth")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("bundle")
    bundle = write_artifacts(folder / "tiny.evb", {"tflite-float32": classifier_artifact()})
    with running(bundle, token=TOKEN) as one:
        yield one


def _document(server: Running) -> dict[str, Any]:
    found: dict[str, Any] = ask(server, "/openapi.json", Authorization=f"Bearer {TOKEN}").json()
    return found


def test_every_address_and_datatype_is_in_it(server: Running) -> None:
    from edgevision.serving.app import server_application
    from edgevision.serving.settings import ServeSettings

    document = _document(server)
    app: Any = server_application(server.models, ServeSettings(), None)
    routes = {route.path: min(route.methods - {"HEAD"}).lower() for route in app._app.routes}
    assert {path: next(iter(methods)) for path, methods in document["paths"].items()} == routes
    datatypes = document["components"]["schemas"]["TensorMetadata"]["properties"]["datatype"]["enum"]
    assert datatypes == list(NUMPY_NAMES)


def test_requests_made_from_it_get_the_answers_that_it_says(server: Running) -> None:
    schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis (extra `dev`)")
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.checks import CHECKS

    document = _document(server)
    for one in document["components"]["parameters"]["name"], document["components"]["parameters"]["version"]:
        one["schema"] = {"type": "string", "enum": ["tiny", "1"] if one["name"] == "name" else ["1", "2"]}
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=f"http://{server.at}")
    checks = [CHECKS.get_one(name) for name in CHECKS.get_all_names() if name not in NOT_CHECKED]
    for found in schema.get_all_operations():
        operation = found.ok()
        cases = operation.as_strategy() | operation.as_strategy(
            generation_mode=schemathesis.GenerationMode.NEGATIVE
        )

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases)
        def conforms(case: Any) -> None:
            case.call_and_validate(headers={"Authorization": f"Bearer {TOKEN}"}, checks=checks)

        conforms()
    assert ask(server, "/v2/health/ready").status == 200
