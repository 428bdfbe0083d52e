"""The engine that takes no time behind Ray Serve: a script for an interpreter that has Ray.

`python ray_engine.py PORT` serves /v1/models and /v1/completions until it is terminated. It imports
nothing of this repository, so that Ray can live in an environment of its own.
"""

import json
import signal
import sys
import threading
from collections.abc import AsyncIterator

from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

MODEL = "cato-demo"


class ZeroEngine:
    async def __call__(self, request: Request) -> Response:
        if request.url.path == "/v1/models":
            return JSONResponse({"object": "list", "data": [{"id": MODEL, "object": "model"}]})
        asked = await request.json()
        return StreamingResponse(_tokens(asked["max_tokens"]), media_type="text/event-stream")


async def _tokens(count: int) -> AsyncIterator[str]:
    for index in range(count):
        finish = "length" if index == count - 1 else None
        choice = {"index": 0, "text": " token", "finish_reason": finish}
        yield f"data: {json.dumps({'model': MODEL, 'choices': [choice]})}\n\n"
    yield "data: [DONE]\n\n"


def main(port: int) -> None:
    stopped = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopped.set())
    serve.start(http_options={"host": "127.0.0.1", "port": port})
    served = serve.deployment(num_replicas=2, max_ongoing_requests=256)(ZeroEngine)
    serve.run(served.bind(), route_prefix="/")
    stopped.wait()
    serve.shutdown()


if __name__ == "__main__":
    main(int(sys.argv[1]))
