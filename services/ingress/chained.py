"""A chain speaks with many voices; its client hears when each begins and ends, then the answer."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from services.ingress.conversation import (
    ANSWERED,
    OVERTAKEN_S,
    Conversation,
    Ending,
    Piece,
    StepEvent,
)
from shared.domain.chain import Stage
from shared.domain.fence import Fence
from shared.domain.task import Step
from shared.messages.catalogue import StepEnded, TaskEnded, TokensProduced, Usage
from shared.tasks.chain import joined


@dataclass(slots=True, kw_only=True)
class _Said:
    """By one attempt at a step."""

    fence: Fence
    texts: list[str] = field(default_factory=list)
    next_sequence: int = 0
    usage: Usage | None = None
    is_whole: bool = False
    is_synthetic: bool = False

    def hear(self, produced: TokensProduced) -> bool:
        """Is it all there now? A gap never closes, so what follows it is not heard."""
        if self.is_whole or produced.sequence != self.next_sequence:
            return False
        self.next_sequence += 1
        self.texts.append(produced.text)
        self.is_synthetic |= produced.synthetic
        self.usage, self.is_whole = produced.usage, produced.finish_reason is not None
        return self.is_whole


@dataclass(slots=True, eq=False, kw_only=True)
class ChainConversation(Conversation):
    """The answer is told when the chain has ended: only then it is known which step gave it."""

    stages: Sequence[Stage]
    said: dict[tuple[int, int], _Said] = field(default_factory=dict)
    ended: TaskEnded | None = None

    def hear(self, produced: TokensProduced) -> None:
        step = produced.step
        if self.is_over or step is None or not 0 <= step.stage < len(self.stages):
            return
        said = self._of(step, produced)
        if said is not None and said.hear(produced):
            self.say(self._event(step, produced, said))
            self._answer()

    def end(self, ended: TaskEnded) -> None:
        if self.is_over:
            self.is_settled = True
        elif ended.outcome not in ANSWERED:
            self.say(Ending.of(ended))
        else:
            self.ended = ended
            self._answer()
            if not self.is_over:
                loop = asyncio.get_running_loop()
                self._overtaking = loop.call_later(OVERTAKEN_S, self.say, Ending.of(ended))

    def _of(self, step: Step, produced: TokensProduced) -> _Said | None:
        """What this attempt said; a newer one begins anew, and an older one is not heard."""
        key = step.stage, step.branch
        said = self.said.get(key)
        if said is None or said.fence < produced.fence:
            said = self.said[key] = _Said(fence=produced.fence)
            self.say(self._event(step, produced))
        return said if said.fence == produced.fence else None

    def _event(self, step: Step, produced: TokensProduced, said: _Said | None = None) -> StepEvent:
        stage = self.stages[step.stage]
        return StepEvent(
            state="started" if said is None else "ended",
            name=stage.name,
            kind=stage.kind,
            stage=step.stage,
            branch=step.branch,
            worker=produced.worker,
            output=None if said is None else "".join(said.texts),
            usage=produced.usage,
        )

    def _answer(self) -> None:
        """As soon as both the ending and the last piece are there, in whatever order they came."""
        ended = self.ended
        if ended is None:
            return
        parts = [self._part(step) for step in ended.steps if step.is_answer]
        whole = [part for part in parts if part is not None and part.is_whole]
        if not parts or len(whole) < len(parts):
            return
        self.say(
            Piece(
                text=joined(["".join(part.texts) for part in whole]),
                tokens=ended.usage.completion_tokens if ended.usage else 0,
                usage=ended.usage,
                synthetic=any(part.is_synthetic for part in whole),
                kind=ended.kind,
                latency_class=ended.latency_class,
            )
        )
        self.say(Ending.of(ended))

    def _part(self, step: StepEnded) -> _Said | None:
        said = self.said.get((step.stage, step.branch))
        return said if said is not None and said.fence == step.fence else None
