"""An orchestrator and a scraper get plain answers."""

import pytest

from shared.runtime.health import answer


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("GET /healthz HTTP/1.1", 200),
        ("HEAD /healthz HTTP/1.1", 405),
        ("GET /readyz?verbose=1 HTTP/1.1", 200),
        ("GET /metrics HTTP/1.1", 200),
        ("GET / HTTP/1.1", 404),
        ("POST /healthz HTTP/1.1", 405),
        ("hello", 400),
        ("", 400),
    ],
)
def test_every_request_gets_an_answer(line: str, status: int) -> None:
    assert answer(line, lambda: True).status == status


def test_a_process_that_cannot_work_yet_lives_but_is_not_ready() -> None:
    assert answer("GET /healthz HTTP/1.1", lambda: False).status == 200
    assert answer("GET /readyz HTTP/1.1", lambda: False).status == 503


def test_metrics_are_prometheus_text() -> None:
    told = answer("GET /metrics HTTP/1.1", lambda: True)

    assert told.content_type.startswith("text/plain; version=")
    assert b"# TYPE python_info gauge" in told.content
    assert told.encode().startswith(b"HTTP/1.1 200 OK\r\n")
