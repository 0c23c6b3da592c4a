"""The API against its own description: schemathesis asks every operation, and no answer may surprise."""

from __future__ import annotations

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.leaderboard.service.trial import make_trial

from perturbarena.leaderboard.service import ServiceSettings, create_app

schemathesis.serializer.alias("application/zip", "application/octet-stream")
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
FREE = ServiceSettings(
    fresh_seconds=0.0, patience_seconds=60.0, requests_per_minute=10**9, private_reads_per_minute=10**9,
    uploads_per_minute=10**9, wrong_tokens=10**9,
)  # fmt: skip


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """The API's description bound to an application, and tokens of several kinds."""
    trial = make_trial(tmp_path_factory.mktemp("contract"), n_questions=60)
    tokens = [trial.team("Alpha"), trial.staff("organise")]
    app = create_app(trial.store, FREE)
    from starlette.testclient import TestClient

    headers = {"Authorization": f"Bearer {tokens[0]}", "Content-Type": "application/zip"}
    TestClient(app).post("/api/v1/submissions?track=C", content=trial.zip(), headers=headers)
    trial.work()
    yield schemathesis.openapi.from_asgi("/api/openapi.json", app), tokens
    trial.store.close()


def _paths() -> list[tuple[str, str]]:
    """Every operation, as the description lists them; the application is not asked for anything."""
    from perturbarena.leaderboard.service.api import router

    return [(route.path, method.lower()) for route in router.routes for method in sorted(route.methods)]


def _ask(board, path: str, method: str, *, examples: int) -> None:
    schema, tokens = board
    operation = schema[path][method.upper()]

    for token in (*tokens, None):
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}

        @settings(
            max_examples=examples, deadline=None, database=None, derandomize=True,
            phases=[Phase.explicit, Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy())
        def ask(case):
            case.call_and_validate(headers=headers, checks=CHECKS)  # noqa: B023

        ask()


@pytest.mark.parametrize(("path", "method"), _paths())
def test_no_answer_surprises(board, path, method):
    _ask(board, path, method, examples=4)


@pytest.mark.slow  # a hundred requests of each operation and kind of token
@pytest.mark.parametrize(("path", "method"), _paths())
def test_no_answer_surprises_at_length(board, path, method):
    _ask(board, path, method, examples=100)
