"""How a task can end, and why; few and stable, because they are metric labels."""

from enum import StrEnum


class Outcome(StrEnum):
    COMPLETED = "completed"  # the whole promise was kept
    LATE = "late"  # finished, after its promise
    SHED = "shed"  # accepted, then given up by the policy
    EXPIRED = "expired"  # accepted, then given up because the answer had become worthless
    FAILED = "failed"  # an engine or a worker failed and no attempt was left
    CANCELLED = "cancelled"  # the client no longer wants it
    SUPERSEDED = "superseded"  # a newer request of the same editor session replaced it
    DEAD_LETTERED = "dead_lettered"  # redelivered too often


class Attempt(StrEnum):
    """How one start on one worker ended."""

    COMPLETED = "completed"
    FAILED = "failed"  # the engine broke; another attempt may succeed
    REFUSED = "refused"  # this request can never succeed on this engine
    ABORTED = "aborted"  # revoked by the scheduler
    RETURNED = "returned"  # never started here: drained, or the lease ran out first


class FinishReason(StrEnum):
    """The OpenAI API's words for why a text ended."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"


class DropReason(StrEnum):
    """Why a task got no answer, in the values llm-d uses for its reason header."""

    SATURATED = "rejected-saturated"
    NO_ENDPOINTS = "rejected-no-endpoints"
    TTL_EXPIRED = "rejected-ttl-expired"
    CONTEXT_CANCELLED = "rejected-context-cancelled"
    SHUTTING_DOWN = "rejected-shutting-down"
    QUEUE_PRESSURE = "evicted-queue-pressure"
