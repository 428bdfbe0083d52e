"""One request as its client knows it."""

from dataclasses import dataclass

from loadgen.workloads.mixes import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What is asked, when, and until when it is wanted; never its text.

    `at_s` and `cancel_at_s` count from the start of the workload. `output_tokens` is the true
    length: what to ask for as `max_tokens`. `cut` decides the text; arrivals with the same cut
    come from the same place of the same file, `typed_chars` further on. `language` is what a
    translation is to be written in. `superseded`: what cancels is the next request of the
    session, sent at that instant; otherwise the client hangs up.
    """

    at_s: float
    kind: str
    route: Route
    prompt_tokens: int
    output_tokens: int
    tenant: str
    cut: int
    seed: int
    session: str | None = None
    typed_chars: int = 0
    cancel_at_s: float | None = None
    superseded: bool = False
    language: str | None = None
    batch: bool = False
