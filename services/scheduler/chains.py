"""A chain goes on when a step of it is over: what comes next, with what is left of the promise."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from services.scheduler.answers import Answer, Answers
from services.scheduler.endings import Endings
from services.scheduler.mirror import Mirror
from shared.domain.chain import Stage
from shared.domain.errors import Unavailable
from shared.domain.outcome import Outcome
from shared.domain.task import LatencyClass, Prediction, Promise, Step, Task, TaskId
from shared.messages.body import Body, ChatMessage
from shared.messages.catalogue import AttemptEnded
from shared.messages.topics import MAX_BODY_BYTES
from shared.scheduling.chains import Journey, Split, resplit, stage_cost_s
from shared.scheduling.queue import DeadlineQueue, Entry, Put
from shared.tasks import TASKS
from shared.tasks.chain import (
    MOST_KEPT_BYTES,
    Chain,
    given_of,
    likelihood,
    tokens_in,
    turns,
)

log = logging.getLogger(__name__)

_RETRY_S = 0.2


class Parser(Protocol):
    async def parses(self, language: str, answer: str) -> bool:
        """Bounded in time and memory, and beside the event loop: a model wrote what it reads."""
        ...


@dataclass(slots=True, kw_only=True)
class Chains:
    """Every method is safe to repeat: which stage comes next follows from the answers kept."""

    queue: DeadlineQueue
    endings: Endings
    parser: Parser
    split: Split = resplit
    unchecked: asyncio.Queue[tuple[Task, Answers]] = field(default_factory=asyncio.Queue)
    checking: set[TaskId] = field(default_factory=set)

    async def begin(self, chain: Task) -> None:
        if self._mirror.links.is_resting(chain.id) and chain.id not in self.checking:
            await self._go_on(chain, Answers(()))

    async def resume(self, kept: Mapping[TaskId, Mapping[TaskId, bytes]]) -> None:
        """Those that an earlier leader left between two steps, or whose steps the store lost."""
        for chain in tuple(self._mirror.links.chains.values()):
            await self._go_on(chain, Answers.decode(kept.get(chain.id, {})))

    async def conclude(self, step: Task, attempt: AttemptEnded) -> None:
        """A step was answered."""
        if step.step is None:
            return
        answer = Answer.of(step.step, attempt)
        kept = await self.queue.keep(step, attempt.fence, answer.encode())
        chain = self._mirror.links.accepted(step)
        if kept is not None and chain is not None:
            await self._go_on(chain, Answers.decode(kept))
            self._count(step, answer)
        # Not before: all of it is repeated when a part of it fails.
        if self._mirror.speaker(step.id, attempt.fence) is not None:
            self._mirror.forget(step.id)
            self._mirror.changed.set()

    def _count(self, step: Task, answer: Answer) -> None:
        backlog = self._mirror.backlog
        self._mirror.settled_s += backlog.guard.work_s(step, backlog.cost)
        self.endings.measures.step_over(step, answer.ended_at)

    @property
    def _mirror(self) -> Mirror:
        return self.endings.mirror

    async def keep_checking(self) -> None:
        """Beside the conclusions, which no parser may hold up; runs until cancelled."""
        while True:
            chain, answers = await self.unchecked.get()
            try:
                await self._check(chain, answers)
            except Unavailable as error:
                log.warning("check postponed", extra={"reason": str(error)})
                await self.endings.clock.sleep(_RETRY_S)
                self.unchecked.put_nowait((chain, answers))
            else:
                self.checking.discard(chain.id)

    async def _go_on(self, chain: Task, answers: Answers) -> None:
        body = await self._body(chain, answers)
        if body is None:
            return
        stage, done = _next_stage(body.stages, answers), answers.complete(body.stages)
        if stage < len(body.stages) and done and body.stages[stage].unless_parses is not None:
            self.checking.add(chain.id)
            self.unchecked.put_nowait((chain, answers))
        else:
            await self._enter(chain, body, stage, answers)

    async def _check(self, chain: Task, answers: Answers) -> None:
        """Leave out what is not needed, because what came before parses."""
        body = await self._body(chain, answers)
        if body is None:
            return
        plan, done = _plan_of(body), answers.complete(body.stages)
        stage = _next_stage(body.stages, answers)
        while stage < len(body.stages) and (language := body.stages[stage].unless_parses):
            if not await self.parser.parses(language, plan.previous(done, stage)):
                break
            stage += 1
        await self._enter(chain, body, stage, answers)

    async def _body(self, chain: Task, answers: Answers) -> Body | None:
        """None where the chain has ended, or ends now."""
        if chain.id not in self._mirror.links.chains:
            return None
        encoded = await self.queue.body(chain.id)
        if encoded is None:
            await self._fail(chain, "its body is no longer kept")
            return None
        if answers.size_bytes() > MOST_KEPT_BYTES:
            await self._refuse(
                chain,
                f"its steps answered {answers.size_bytes()} bytes, and {MOST_KEPT_BYTES} are kept; "
                "use fewer steps or a smaller `max_tokens`",
            )
            return None
        return Body.model_validate_json(encoded)

    async def _enter(self, chain: Task, body: Body, stage: int, answers: Answers) -> None:
        if stage == len(body.stages):
            await self.endings.finish_chain(chain, answers, body.stages)
        else:
            await self._queue(chain, body, stage, answers)

    async def _queue(
        self,
        chain: Task,
        body: Body,
        stage: int,
        answers: Answers,
    ) -> None:
        """Those branches that have no answer, and neither wait nor run."""
        done = answers.complete(body.stages)
        prompts = _plan_of(body).prompts(stage, done)
        living, over = self._mirror.links.steps_of(chain.id), answers.of_stage(stage)
        like = self._like(chain, body, stage, done)
        entries = [
            Entry(
                task=_branch(like, branch, prompt),
                body=_asked(body, body.stages[stage], prompt),
            )
            for branch, prompt in enumerate(prompts)
            if branch not in over and _step_id(chain, stage, branch) not in living
        ]
        # As it is encoded: what no record holds could never be sent.
        longest_bytes = max((len(entry.body) for entry in entries), default=0)
        if longest_bytes > MAX_BODY_BYTES:
            await self._refuse(
                chain,
                f"the request of step {body.stages[stage].name!r} has {longest_bytes} bytes; "
                f"at most {MAX_BODY_BYTES}",
            )
        else:
            await self._put(chain, entries)

    async def _put(self, chain: Task, entries: Sequence[Entry]) -> None:
        links = self._mirror.links
        if not entries or chain.id not in links.chains:
            return
        links.expect(chain.id, [entry.task.id for entry in entries])
        puts = await self.queue.put(entries)
        for entry, put in zip(entries, puts, strict=True):
            if put is Put.QUEUED and chain.id in links.chains:
                self._mirror.wait(entry.task, origin=None, size=len(entry.body))
        self._mirror.changed.set()

    def _like(
        self, chain: Task, body: Body, stage: int, done: Mapping[int, tuple[str, ...]]
    ) -> Task:
        """A step of this stage, with its share of what is left."""
        now = self.endings.clock.now()
        plan = _plan_of(body)
        coming = plan.predictions(_expected, done)[-(len(body.stages) - stage) :]
        journey = Journey(
            received_at=chain.received_at,
            deadline_at=chain.deadline_at,
            now=now,
            costs_s=self._costs_s(chain, body.stages[stage:], coming),
            first_costs_s=self._costs_s(chain, body.stages, plan.predictions(_expected)),
        )
        budget_s = self.split(journey)[0]
        is_promised = chain.latency_class is not LatencyClass.BATCH
        return replace(
            chain,
            id=_step_id(chain, stage, 0),
            kind=body.stages[stage].kind,
            received_at=now,
            promise=Promise(e2e_s=budget_s) if is_promised else Promise(),
            # A chain that has missed its promise is given up: the rest would cost others theirs.
            useful_s=chain.deadline_at - now if is_promised else None,
            prediction=coming[0],
            stages=0,
            step=Step(chain=chain.id, stage=stage),
        )

    def _costs_s(
        self, chain: Task, stages: Sequence[Stage], predictions: Sequence[Prediction]
    ) -> tuple[float, ...]:
        cost = self._mirror.backlog.cost
        return tuple(
            likelihood(stage) * stage_cost_s(cost, chain, prediction)
            for stage, prediction in zip(stages, predictions, strict=True)
        )

    async def _fail(self, chain: Task, why: str) -> None:
        await self.endings.give_up(chain, Outcome.FAILED, error=why)

    async def _refuse(self, chain: Task, why: str) -> None:
        """The client asked for more than can be kept, and can ask for less."""
        await self.endings.give_up(chain, Outcome.FAILED, error=why, is_refused=True)


def _next_stage(stages: Sequence[Stage], answers: Answers) -> int:
    """The first that lacks an answer of those after which none has one."""
    begun = max((answer.stage for answer in answers.all), default=0)
    is_over = len(answers.of_stage(begun)) == stages[begun].branches
    return begun + 1 if is_over else begun


def _plan_of(body: Body) -> Chain:
    given = given_of(
        code=body.code,
        instruction=body.instruction,
        language=body.language,
        target=body.target_language,
    )
    return Chain(stages=body.stages, given=given)


def _expected(stage: Stage, prompt_tokens: int) -> Prediction:
    """As the classifier learned it, or as the kind usually is."""
    known = stage.prediction or TASKS[stage.kind].prior
    return Prediction(
        prompt_tokens=prompt_tokens,
        output_tokens_p50=min(known.output_tokens_p50, stage.max_tokens),
        output_tokens_p90=min(known.output_tokens_p90, stage.max_tokens),
    )


def _step_id(chain: Task, stage: int, branch: int) -> TaskId:
    return TaskId(f"{chain.id}.{stage}.{branch}")


def _branch(like: Task, branch: int, prompt: str) -> Task:
    if like.step is None:
        return like
    chain, stage = like.step.chain, like.step.stage
    return replace(
        like,
        id=TaskId(f"{chain}.{stage}.{branch}"),
        step=replace(like.step, branch=branch),
        prediction=replace(like.prediction, prompt_tokens=max(1, tokens_in(prompt))),
    )


def _asked(body: Body, stage: Stage, prompt: str) -> bytes:
    """One call of a model, in the words of the chat route."""
    messages = tuple(
        ChatMessage(role=role, content=content)
        for role, content in turns(TASKS[stage.kind].system, prompt)
    )
    asked = Body(
        route="chat",
        messages=messages,
        max_tokens=stage.max_tokens,
        temperature=body.temperature,
        top_p=body.top_p,
        seed=body.seed,
        stop=body.stop,
        extra=body.extra,
    )
    return asked.model_dump_json(exclude_none=True).encode()
