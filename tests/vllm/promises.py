"""What the house is worth before real vLLM: the same people at vLLM's own server and at the house.

`.venv-vllm/bin/python -m tests.vllm.promises` lets the same requests arrive at both, one after the
other, at each rate, and prints who got what was promised. The model is the one of 4 million
parameters that the house ships: on one core it prefills and decodes about as fast as a large model
on a large GPU. Both engines have the same arguments, and whoever is not asked is idle.
"""

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import JsonValue

from deploy.local.house import REAL, Blueprint, House, Pool
from deploy.models.architecture import MODEL as SHIPPED
from tests.vllm.bare import vllm_serve
from tests.vllm.tiny import HOUSE_PYTHON, OPTIONS, PYTHONS, worker_settings

_OPTIONS: Final[dict[str, JsonValue]] = {
    **OPTIONS,
    "kv_cache_memory_bytes": 256 * 2**20,
    "max_num_seqs": 64,
}
# vLLM 0.32.0 on a CPU dies of a seeded answer whose prompt takes two steps, unless it is greedy.
_GREEDY: Final = '{"temperature": 0}'
_WARM_UP_S: Final = 15.0
_CHAT: Final = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
# The reference mix, with questions and answers that fit into a context of 4,096 tokens.
_MIX: Final = """
[[kinds]]
name = "completion"
share = 0.6
prompt_tokens = { median = 350, sigma = 0.9, high = 1500 }
output_tokens = { median = 14, sigma = 0.8, high = 100 }
[[kinds]]
name = "generation"
share = 0.2
prompt_tokens = { median = 125, sigma = 0.8, high = 1500 }
output_tokens = { median = 80, sigma = 0.7, high = 500 }
[[kinds]]
name = "summarization"
share = 0.12
prompt_tokens = { median = 300, sigma = 0.8, high = 1500 }
output_tokens = { median = 40, sigma = 0.5, high = 500 }
[[kinds]]
name = "translation"
share = 0.08
prompt_tokens = { median = 225, sigma = 0.7, high = 1500 }
output_tokens = { median = 230, sigma = 0.6, high = 900 }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparing:
    directory: Path
    kafka: str
    seconds: float

    async def run(self, rates: Sequence[float]) -> list[Path]:
        """The reports, in the order in which they were written."""
        (self.directory / "mix.toml").write_text(_MIX)
        (self.directory / "chat.jinja").write_text(_CHAT)
        shutil.copytree(SHIPPED, self._model)
        (self._model / "generation_config.json").write_text(_GREEDY)
        reports: list[Path] = []
        async with self._servers() as servers:
            for url in servers.values():
                await self._play("warm-up", url, rates[0], _WARM_UP_S, self.directory / "0.json")
            for rate in rates:
                for name, url in servers.items():
                    report = self.directory / f"{len(reports)}.json"
                    await self._play(f"{name}, {rate:g}/s", url, rate, self.seconds, report)
                    reports.append(report)
        return reports

    @property
    def _model(self) -> Path:
        return self.directory / "model"

    @asynccontextmanager
    async def _servers(self) -> AsyncIterator[Mapping[str, str]]:
        arguments = ("--chat-template", str(self.directory / "chat.jinja"))
        settings = {
            **worker_settings(self._model),
            "CATO_ENGINE_ARGS": json.dumps(_OPTIONS),
        }
        blueprint = Blueprint(
            directory=self.directory / "house",
            port=0,
            pools=[Pool(workers=1)],
            kafka=self.kafka,
            settings=settings,
            pythons=PYTHONS,
        )
        async with AsyncExitStack() as stack:
            bare = vllm_serve(self._model, self.directory / "bare", _OPTIONS, *arguments)
            url = await stack.enter_async_context(bare)
            house = await stack.enter_async_context(House.build(blueprint))
            yield {"vllm serve": url, "house": house.base_url}

    async def _play(self, name: str, url: str, rate: float, seconds: float, report: Path) -> None:
        words = ["run", "--url", url, "--name", name, "--brief", "--json", str(report)]
        words += ["--mix", str(self.directory / "mix.toml"), "--arrivals", "gamma-cv2"]
        words += ["--rate", str(rate), "--seconds", str(seconds), "--seed", str(round(rate))]
        await _loadgen(*words, "--declare-kind", "--no-suffix")


async def _loadgen(*words: str) -> None:
    process = await asyncio.create_subprocess_exec(HOUSE_PYTHON, "-m", "loadgen", *words)
    if await process.wait() != 0:
        raise SystemExit(f"loadgen {' '.join(words)} failed")


async def compare(directory: Path, options: argparse.Namespace) -> None:
    comparing = Comparing(directory=directory, kafka=options.kafka, seconds=options.seconds)
    reports = await comparing.run(options.rates)
    await _loadgen("report", *map(str, reports), "--out", str(options.out))


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.vllm.promises")
    parser.add_argument("--kafka", default=REAL, help="real, embedded, or a broker's address")
    parser.add_argument("--rates", nargs="+", type=float, default=[6.0, 9.0, 12.0])
    parser.add_argument("--seconds", type=float, default=40.0)
    parser.add_argument("--out", type=Path, default=Path("out/vllm"), help="of the report")
    options = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="cato-vllm-") as passing:
        asyncio.run(compare(Path(passing), options))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
