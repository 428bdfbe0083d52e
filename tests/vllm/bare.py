"""vLLM's own server, to compare with."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from deploy.local.ports import LOOPBACK, chosen_port
from deploy.local.processes import Household, answers
from tests.vllm.tiny import ENVIRONMENT, MODEL

_UP_WITHIN_S: Final = 300.0


@asynccontextmanager
async def vllm_serve(
    folder: Path, logs: Path, options: Mapping[str, JsonValue], *words: str
) -> AsyncIterator[str]:
    """Its URL; with the arguments that the house gives to its engine."""
    port = chosen_port(0, setting="port")
    command = [str(Path(sys.executable).with_name("vllm")), "serve", str(folder), *words]
    command += ["--served-model-name", MODEL, "--host", LOOPBACK, "--port", str(port)]
    for name, value in {**options, "max_num_batched_tokens": 2048}.items():
        command.append(f"--{name.replace('_', '-')}")
        command += [] if value is True else [str(value)]
    async with Household.open(logs, drain_s=5.0) as household:
        server = household.launch("vllm-serve", command, env=ENVIRONMENT)
        await server.ready(answers(f"http://{LOOPBACK}:{port}/health"), within_s=_UP_WITHIN_S)
        yield f"http://{LOOPBACK}:{port}"
