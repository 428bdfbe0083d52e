"""What the deadline queue writes down: a task's facts, a lease, a body; as short as they can be."""

import zlib
from typing import Final

from pydantic import TypeAdapter

from shared.domain.fence import Fence
from shared.domain.task import Task, TaskId
from shared.scheduling.queue import Claim, Lease

_TASK: Final = TypeAdapter(Task)

# Below this, zlib saves less than its own header is worth.
_COMPRESS_ABOVE_BYTES = 1024
_PLAIN, _ZLIB = b"p", b"z"


def encode_task(task: Task, ticket: str) -> bytes:
    """JSON without newlines, then the ticket of the act that wrote it."""
    return _TASK.dump_json(task, exclude_defaults=True) + b"\n" + ticket.encode()


def decode_task(record: bytes) -> Task:
    return _TASK.validate_json(record.partition(b"\n")[0])


def encode_claim(claim: Claim, ticket: str) -> str:
    """All of a lease but its fence, which is Redis' to give."""
    return f"{ticket} {claim.to_partition} {claim.at!r} {claim.worker}"


def encode_lease(lease: Lease, ticket: str) -> str:
    return f"{lease.fence} {ticket} {lease.to_partition} {lease.at!r} {lease.worker}"


def decode_lease(task_id: TaskId, record: bytes) -> Lease:
    fence, _, to_partition, at, worker = record.decode().split(" ", 4)
    return Lease(
        task_id=task_id,
        fence=Fence.parse(fence),
        worker=worker,
        to_partition=int(to_partition),
        at=float(at),
    )


def encode_body(body: bytes) -> bytes:
    if len(body) <= _COMPRESS_ABOVE_BYTES:
        return _PLAIN + body
    return _ZLIB + zlib.compress(body, 1)


def decode_body(record: bytes) -> bytes:
    return zlib.decompress(record[1:]) if record[:1] == _ZLIB else record[1:]
