"""What a server measures of itself tells of those, too, whom somebody else has sent there."""

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import Final, Literal, Self

_Gauge = Literal["running", "waiting", "kv_share"]

# Sources: the servers' pages on their metrics. vLLM renamed its KV gauge in 0.10; llama.cpp has
# dropped its own since; TGI has none.
_GAUGES: Final[dict[str, _Gauge]] = {
    "vllm:num_requests_running": "running",
    "vllm:num_requests_waiting": "waiting",
    "vllm:kv_cache_usage_perc": "kv_share",
    "vllm:gpu_cache_usage_perc": "kv_share",
    "sglang:num_running_reqs": "running",
    "sglang:num_queue_reqs": "waiting",
    "sglang:token_usage": "kv_share",
    "llamacpp:requests_processing": "running",
    "llamacpp:requests_deferred": "waiting",
    "llamacpp:kv_cache_usage_ratio": "kv_share",
    "tgi_batch_current_size": "running",
    "tgi_queue_size": "waiting",
}
_NAMES: Final = tuple(_GAUGES)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLoad:
    """All requests that a server holds; `kv_share` of its KV cache is in use (0 to 1)."""

    running: int = 0
    waiting: int = 0
    kv_share: float = 0.0

    @classmethod
    def read(cls, page: str) -> Self | None:
        """From a page in Prometheus' text format; None where it has none of the known gauges.

        Of a server with several engines the requests are added up and the shares averaged.
        """
        found: dict[_Gauge, list[float]] = {}
        for gauge, value in _samples(page):
            found.setdefault(gauge, []).append(value)
        if not found:
            return None
        return cls(
            running=round(sum(found.get("running", ()))),
            waiting=round(sum(found.get("waiting", ()))),
            kv_share=fmean(found.get("kv_share", (0.0,))),
        )


@dataclass(slots=True)
class Company:
    """Who else is at the server. Whoever was ours at any time since the last reading is not taken
    for another's."""

    seen: ServerLoad = ServerLoad()
    others: int = 0
    most_ours: int = 0

    def enter(self, ours: int) -> None:
        self.most_ours = max(self.most_ours, ours)

    def read(self, seen: ServerLoad, ours: int) -> None:
        self.seen = seen
        self.others = max(0, seen.running + seen.waiting - max(ours, self.most_ours))
        self.most_ours = ours


def _samples(page: str) -> Iterator[tuple[_Gauge, float]]:
    for line in page.splitlines():
        if not line.startswith(_NAMES):
            continue
        name = line.replace("{", " ", 1).split(None, 1)[0]
        # A label's value may hold blanks; what follows the number is a timestamp.
        words = line.rpartition("}")[2].removeprefix(name).split()
        gauge = _GAUGES.get(name)
        if gauge is not None and words and (value := _number(words[0])) is not None:
            yield gauge, value


def _number(word: str) -> float | None:
    try:
        value = float(word)
    except ValueError:
        return None
    return value if 0 <= value < float("inf") else None
