"""What the house adds to vLLM: the same tiny model behind vLLM's own server and behind the house.

`.venv-vllm/bin/python -m tests.vllm.overhead` prints time to first token, one request at a time,
and tokens per second of 8 streams. Both servers stand at once and are asked in turns, so that
noise meets both; each is idle while the other is asked. A step of the tiny model takes 3 ms of a
core that the house needs too; with `--layers 16` it takes about as long as one of a real model.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

import aiohttp

from deploy.local.house import REAL, Blueprint, House, Pool
from deploy.models.tiny_llama import write_model, write_tokenizer
from shared.adapters.clock import SystemClock
from tests.vllm.bare import vllm_serve
from tests.vllm.tiny import MODEL, OPTIONS, PYTHONS, worker_settings

STREAMS: Final = 8
_ALONE_TOKENS, _STREAM_TOKENS = 8, 256
_PROMPT: Final = "result.append(value)\n" * 5
_BY_PRIORITY: Final = ("--scheduling-policy", "priority")
# Kafka runs on a virtual machine that compiles what it has seen often.
_WARM_WINDOWS: Final = 3


@dataclass(slots=True, kw_only=True)
class Target:
    name: str
    url: str
    ttft_s: list[float] = field(default_factory=list)
    tokens_per_s: list[float] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Asking:
    http: aiohttp.ClientSession
    clock: SystemClock
    asked: int = 0

    async def ask(self, url: str, tokens: int) -> float:
        """Seconds to the first token of an answer that was read to its end."""
        self.asked += 1
        body = {
            "model": MODEL,
            # Different from its beginning, so that no prefix cache helps.
            "prompt": f"# {self.asked}\n{_PROMPT}",
            "max_tokens": tokens,
            "stream": True,
            "ignore_eos": True,
            # Both choose the same, and no token is half a character.
            "temperature": 0,
        }
        headers = {"x-slo-ttft-ms": "60000"}
        began = self.clock.monotonic()
        first_s: float | None = None
        async with self.http.post(f"{url}/v1/completions", json=body, headers=headers) as response:
            response.raise_for_status()
            async for line in response.content:
                if first_s is None and line.startswith(b"data: {") and has_text(line):
                    first_s = self.clock.monotonic() - began
        if first_s is None:
            raise RuntimeError(f"{url} answered without a token")
        return first_s

    async def window(self, target: Target, requests: int) -> None:
        for _ in range(requests):
            target.ttft_s.append(await self.ask(target.url, _ALONE_TOKENS))
        began = self.clock.monotonic()
        await asyncio.gather(*(self.ask(target.url, _STREAM_TOKENS) for _ in range(STREAMS)))
        took_s = self.clock.monotonic() - began
        target.tokens_per_s.append(STREAMS * _STREAM_TOKENS / took_s)


def has_text(line: bytes) -> bool:
    event = json.loads(line.removeprefix(b"data: "))
    return any(choice.get("text") for choice in event.get("choices", ()))


async def measured(
    directory: Path, *, kafka: str, layers: int, windows: int, requests: int
) -> list[Target]:
    folder = directory / MODEL
    write_model(folder, write_tokenizer(folder), layers=layers)
    blueprint = Blueprint(
        directory=directory / "house",
        port=0,
        pools=[Pool(workers=1)],
        kafka=kafka,
        settings=worker_settings(folder),
        pythons=PYTHONS,
    )
    async with AsyncExitStack() as stack:
        bare = await stack.enter_async_context(
            vllm_serve(folder, directory / "bare", OPTIONS, *_BY_PRIORITY)
        )
        house = await stack.enter_async_context(House.build(blueprint))
        http = await stack.enter_async_context(aiohttp.ClientSession())
        asking = Asking(http=http, clock=SystemClock())
        for url in (bare, house.base_url) * _WARM_WINDOWS:
            await asking.window(Target(name="warm-up", url=url), requests)
        targets = [Target(name="vllm serve", url=bare), Target(name="house", url=house.base_url)]
        for number in range(windows):
            for target in targets if number % 2 else reversed(targets):
                await asking.window(target, requests)
    return targets


def report(targets: Sequence[Target]) -> str:
    bare, house = targets
    lines = [f"{'':12}{'TTFT p50 ms':>14}{'tokens/s of 8 streams':>24}"]
    for each in targets:
        ttft_ms, rate = median(each.ttft_s) * 1000, median(each.tokens_per_s)
        lines.append(f"{each.name:12}{ttft_ms:14.1f}{rate:24.0f}")
    added_ms = (median(house.ttft_s) - median(bare.ttft_s)) * 1000
    share = median(house.tokens_per_s) / median(bare.tokens_per_s)
    lines.append(f"{'added':12}{added_ms:14.1f}{f'{share:.2f} of the bare server':>24}")
    return "\n".join(lines) + "\n"


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.vllm.overhead")
    parser.add_argument("--kafka", default=REAL, help="real, embedded, or a broker's address")
    parser.add_argument("--layers", type=int, default=2, help="of the model")
    parser.add_argument("--windows", type=int, default=6)
    parser.add_argument("--requests", type=int, default=20, help="one by one, in each window")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="cato-vllm-") as passing:
        targets = asyncio.run(
            measured(
                Path(passing),
                kafka=options.kafka,
                layers=options.layers,
                windows=options.windows,
                requests=options.requests,
            )
        )
    sys.stdout.write(report(targets))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
