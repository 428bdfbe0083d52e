"""Whoever passes the gate is known, asks for something that can be served, and has quota left."""

from dataclasses import dataclass, field
from typing import Final

from services.ingress.admission import Wish, admit, decoding_s, likely_kind
from services.ingress.asked import Asked
from services.ingress.backlogs import Backlogs
from services.ingress.errors import ShuttingDown
from services.ingress.ports import Quota
from services.ingress.replies import Desk
from services.ingress.settings import Knobs
from services.ingress.tenants import Tenants
from shared.domain.admission import QuotaAnswer
from shared.domain.errors import RateLimited, UnknownModel
from shared.domain.outcome import DropReason
from shared.messages.body import Body

# Source code in the vocabularies of present models.
_CHARS_PER_TOKEN: Final = 4
# Another ingress is there at once.
_ELSEWHERE_S: Final = 0.5

Headers = list[tuple[bytes, bytes]]


class OverQuota(RateLimited):
    """Also tells in headers where the tenant stands."""

    def __init__(self, answer: QuotaAnswer) -> None:
        self.answer = answer
        super().__init__(
            f"over quota: {answer.limit_requests} requests and {answer.limit_tokens} tokens a "
            "minute; try again later",
            retry_after_s=answer.retry_after_s,
        )


@dataclass(slots=True, kw_only=True)
class Gate:
    tenants: Tenants
    quota: Quota
    backlogs: Backlogs
    desk: Desk
    knobs: Knobs
    is_closed: bool = field(default=False)

    def check_open(self) -> None:
        """Raises ShuttingDown."""
        if self.is_closed:
            raise ShuttingDown(
                "this ingress is shutting down",
                retry_after_s=_ELSEWHERE_S,
                dropped=DropReason.SHUTTING_DOWN,
            )

    def model_for(self, wanted: str | None) -> str:
        """Raises UnknownModel."""
        if wanted is None or wanted == self.knobs.model:
            return self.knobs.model
        known = self.models()
        if wanted not in known:
            raise UnknownModel(wanted, known)
        return wanted

    def pools_of(self, model: str) -> tuple[str | None, str]:
        """Which one to ask first, where it is a name for two, and which one answers for it."""
        return self.knobs.small_first.get(model, (None, model))

    def pools(self) -> tuple[str, ...]:
        """The usual one, and every other that a scheduler leads or has led lately."""
        return tuple(dict.fromkeys((self.knobs.model, *self.backlogs.models())))

    def models(self) -> tuple[str, ...]:
        """What a client may name."""
        return tuple(dict.fromkeys((*self.pools(), *self.knobs.small_first)))

    async def check_length(self, model: str, body: Body) -> None:
        """Raises PromptTooLong, or InvalidRequest for an answer that no context holds."""
        backlog = self.backlogs.of(model)
        told = None if backlog is None else backlog.report.context_tokens
        await self.knobs.vocabularies.check(
            body, model=model, limit_tokens=told or self.knobs.context_tokens
        )

    def admit(self, asked: Asked) -> None:
        """Raises NoWorker or Overloaded."""
        admit(
            _wish(asked),
            self.backlogs.of(asked.model),
            now=self.backlogs.clock.monotonic(),
            stale_s=self.knobs.backlog_stale_s,
            open_bytes=self.desk.open_bytes[asked.model],
            # Whoever waits for one pool takes no room from those who wait for another.
            room=self.knobs.max_open_bytes // len(self.pools()),
        )

    def expected_s(self, asked: Asked) -> float:
        """From receipt to the last token, as far as can be said now."""
        wish, backlog = _wish(asked), self.backlogs.of(asked.model)
        wait_s = 0.0 if backlog is None else backlog.wait_s(wish.latency_class)
        kinds = [stage.kind for stage in asked.body.stages] or [wish.kind]
        return wait_s + sum(map(decoding_s, kinds))

    async def reserve(self, asked: Asked) -> None:
        """Raises OverQuota, Unavailable."""
        tenant = asked.tenant
        if tenant.has_quota():
            answer = await self.quota.take(tenant.name, *tenant.quota(), asked.reserved_tokens)
            if not answer.allowed:
                raise OverQuota(answer)

    async def settle(self, asked: Asked, used_tokens: int) -> None:
        """What was reserved and not used is the tenant's again; may raise Unavailable."""
        if asked.tenant.has_quota():
            await self.quota.settle(asked.tenant.name, asked.reserved_tokens, used_tokens)


def _wish(asked: Asked) -> Wish:
    return Wish.of(
        likely_kind(asked.body, asked.kind),
        promise=asked.promise,
        read_timeout_s=None if asked.detached else asked.headers.read_timeout_s,
        size_bytes=asked.size_bytes,
    )


def likely_prompt_tokens(body: Body) -> int:
    ids = body.extra.get("prompt_token_ids")
    if isinstance(ids, list):
        return len(ids)
    return len(body.text()) // _CHARS_PER_TOKEN + 1


def quota_headers(answer: QuotaAnswer) -> Headers:
    told = (
        ("limit-requests", answer.limit_requests),
        ("limit-tokens", answer.limit_tokens),
        ("remaining-requests", answer.remaining_requests),
        ("remaining-tokens", answer.remaining_tokens),
        ("reset-requests", f"{answer.reset_requests_s:.3f}s"),
        ("reset-tokens", f"{answer.reset_tokens_s:.3f}s"),
    )
    return [(f"x-ratelimit-{name}".encode(), str(value).encode()) for name, value in told]
