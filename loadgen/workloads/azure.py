"""A coding service is silent most of the time, and then everybody types at once.

The twin below was fitted to the Azure LLM inference trace 2023 (code) of AzurePublicDataset,
CC-BY 4.0; cite Patel et al., "Splitwise: Efficient generative LLM inference using phase
splitting", ISCA 2024. It alternates lulls and bursts; within a burst gaps are drawn from one
distribution and stretched by the pace of that burst. Lengths are independent of times and of
each other, as they are in the trace (correlation of prompt and output tokens: 0.001).
"""

from collections.abc import Iterator
from itertools import takewhile
from random import Random
from typing import Final

from loadgen.workloads.quantiles import Quantiles, stratified
from loadgen.workloads.trace import TraceRow

# Where the trace is, for whoever wants to replay the real one, and how to know it.
AZURE_CODE_URL: Final = (
    "https://github.com/Azure/AzurePublicDataset/blob/master/data/AzureLLMInferenceTrace_code.csv"
)
AZURE_CODE_SHA256: Final = "54e9a6d2a4bd06ba1e060304b900abbc74cbea53de96506e60fe5bb4f2277fb6"
# Of the twin over many hours; the hour of the trace has 2.57 a second.
AZURE_RATE: Final = 2.59

# One hour of the trace holds about as many bursts as there are strata.
_STRATA: Final = 141

_LULL_S: Final = Quantiles(
    (0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1),
    (1.0, 1.13, 1.7, 2.4, 3.2, 5.8, 12.2, 28, 51, 94, 173, 217),
)
_BURST_REQUESTS: Final = Quantiles(
    (0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1),
    (1, 2, 4, 9, 14, 20, 27, 39, 69, 100, 150, 253, 406, 575),
)
_GAP_S: Final = Quantiles(
    (0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.45, 0.5, 0.6, 0.75, 0.8, 0.9, 0.95, 0.98, 1),
    (1e-5, 9e-5, 2e-4, 1.1e-3, 3.2e-3, 0.012, 0.035, 0.059, 0.094, 0.103, 0.138, 0.223, 0.337,
     0.5, 1.0),
)  # fmt: skip
# A burst has its own pace, and within it the pace changes every 20 requests or so.
_PACE_SIGMA: Final = 0.3
_RUSH_SIGMA: Final = 0.8
_RUSH_ENDS: Final = 1 / 20
PROMPT_TOKENS: Final = Quantiles(
    (0, 0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.95, 0.98, 1),
    (3, 17, 75, 147, 385, 770, 1075, 1469, 1909, 2433, 3193, 3923, 5194, 6194, 7315, 7436, 7437),
)
OUTPUT_TOKENS: Final = Quantiles(
    (0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.9995, 1),
    (6, 6.3, 7, 8, 9, 11, 13, 16, 20, 29, 55, 90, 172, 252, 361, 895, 1899),
)


def synthetic_azure(seed: int, duration_s: float) -> Iterator[TraceRow]:
    """The seeded twin of the trace, at its own rate."""
    rng = Random(seed)
    for at_s in takewhile(lambda at_s: at_s < duration_s, _bursts(rng)):
        yield TraceRow(
            at_s=at_s,
            prompt_tokens=round(PROMPT_TOKENS.draw(rng)),
            output_tokens=round(OUTPUT_TOKENS.draw(rng)),
        )


def azure_times(rate: float, duration_s: float, rng: Random) -> Iterator[float]:
    """The twin's arrivals, played faster or slower until their mean rate is `rate`."""
    faster = rate / AZURE_RATE
    for at_s in _bursts(rng):
        if at_s / faster >= duration_s:
            return
        yield at_s / faster


def _bursts(rng: Random) -> Iterator[float]:
    lulls, sizes = stratified(_STRATA, rng), stratified(_STRATA, rng)
    at_s = 0.0
    while True:
        for gap_s in _gaps_within(round(_BURST_REQUESTS.at(next(sizes))), rng):
            yield at_s
            at_s += gap_s
        at_s += _LULL_S.at(next(lulls))


def _gaps_within(requests: int, rng: Random) -> Iterator[float]:
    pace = rng.lognormvariate(0, _PACE_SIGMA)
    rush = _rush(rng)
    for _ in range(requests):
        if rng.random() < _RUSH_ENDS:
            rush = _rush(rng)
        yield min(_LULL_S.values[0], _GAP_S.draw(rng) * pace * rush)


def _rush(rng: Random) -> float:
    # Divided by its mean, so that rushing changes the peaks and not the rate.
    return rng.lognormvariate(-(_RUSH_SIGMA**2) / 2, _RUSH_SIGMA)
