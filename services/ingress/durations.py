"""How long answers of each kind took lately, to say when the next one can be expected."""

from dataclasses import dataclass, field
from typing import Final

from shared.messages.catalogue import TaskEnded
from shared.tasks import TASKS

_WEIGHT: Final = 0.1
# Before anything was seen: a token every 20 ms, as a reader would like it.
_TOKEN_S: Final = 0.02


@dataclass(slots=True)
class Durations:
    """Moving averages from first token to last; what comes before is told by the backlog."""

    by_kind: dict[str, float] = field(default_factory=dict)

    def learn(self, ended: TaskEnded) -> None:
        if ended.ttft_s is None or ended.e2e_s is None or ended.kind not in TASKS:
            return
        before_s = self.of(ended.kind)
        took_s = ended.e2e_s - ended.ttft_s
        self.by_kind[ended.kind] = before_s + _WEIGHT * (took_s - before_s)

    def of(self, kind: str) -> float:
        return self.by_kind.get(kind, _TOKEN_S * TASKS[kind].prior.output_tokens_p50)
