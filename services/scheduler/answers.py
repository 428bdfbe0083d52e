"""What a step of a chain answered, as it is kept until the chain has ended."""

from collections.abc import Iterable, Mapping
from typing import Self

from pydantic import BaseModel, ConfigDict

from shared.domain.chain import Stage
from shared.domain.fence import Fence
from shared.domain.outcome import FinishReason
from shared.domain.task import Step, TaskId
from shared.messages.catalogue import AttemptEnded, StepEnded, Usage


class Answer(BaseModel):
    """Of one branch of one stage; `ended_at` is in epoch seconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    stage: int
    branch: int
    text: str
    fence: Fence
    ended_at: float
    usage: Usage | None = None
    finish_reason: FinishReason | None = None

    @classmethod
    def of(cls, step: Step, attempt: AttemptEnded) -> Self:
        return cls(
            stage=step.stage,
            branch=step.branch,
            text=attempt.output or "",
            fence=attempt.fence,
            ended_at=attempt.last_token_at or attempt.ended_at,
            usage=attempt.usage,
            finish_reason=attempt.finish_reason,
        )

    def encode(self) -> bytes:
        return self.model_dump_json(exclude_none=True).encode()


class Answers:
    """All that a chain has so far, by stage and branch."""

    def __init__(self, kept: Iterable[Answer]) -> None:
        self.all = tuple(sorted(kept, key=lambda answer: (answer.stage, answer.branch)))

    @classmethod
    def decode(cls, kept: Mapping[TaskId, bytes]) -> "Answers":
        return cls(Answer.model_validate_json(answer) for answer in kept.values())

    def size_bytes(self) -> int:
        return sum(len(answer.text.encode("utf-8", "replace")) for answer in self.all)

    def of_stage(self, stage: int) -> dict[int, Answer]:
        return {answer.branch: answer for answer in self.all if answer.stage == stage}

    def complete(self, stages: tuple[Stage, ...]) -> dict[int, tuple[str, ...]]:
        """The texts of each stage of which no branch is missing."""
        found = {at: self.of_stage(at) for at in range(len(stages))}
        return {
            at: tuple(one[branch].text for branch in sorted(one))
            for at, one in found.items()
            if len(one) == stages[at].branches
        }

    def usage(self) -> Usage:
        used = [answer.usage for answer in self.all if answer.usage is not None]
        return Usage(
            prompt_tokens=sum(usage.prompt_tokens for usage in used),
            completion_tokens=sum(usage.completion_tokens for usage in used),
            cached_tokens=sum(usage.cached_tokens for usage in used),
        )

    def told(self, stages: tuple[Stage, ...]) -> tuple[StepEnded, ...]:
        last = self.all[-1].stage
        return tuple(
            StepEnded(
                stage=answer.stage,
                branch=answer.branch,
                name=stages[answer.stage].name,
                kind=stages[answer.stage].kind,
                fence=answer.fence,
                usage=answer.usage,
                is_answer=answer.stage == last,
            )
            for answer in self.all
        )
