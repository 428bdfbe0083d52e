"""Task events for readers in the same process, forgotten with it."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from shared.adapters.event_ids import checked_event_id
from shared.domain.clock import Clock


@dataclass(slots=True, kw_only=True)
class _Log:
    tenant: str
    facts: str
    events: list[str] = field(default_factory=list)
    said_bytes: int = 0
    last: int = 0
    forgotten_at: float | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, event: str) -> None:
        self.events.append(event)
        self.wake()

    def wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()


class MemoryEventLog:
    def __init__(self, clock: Clock, ttl_s: float, byte_cap: int) -> None:
        self._clock = clock
        self._ttl_s = ttl_s
        self._byte_cap = byte_cap
        self._logs: dict[str, _Log] = {}

    async def open(self, task_id: str, tenant: str, facts: str) -> None:
        if self._log(task_id) is None:
            self._logs[task_id] = _Log(tenant=tenant, facts=facts)
        if log := self._open_log(task_id):
            log.tenant, log.facts = tenant, facts

    async def append(self, task_id: str, event: str, number: int) -> bool:
        log = self._open_log(task_id)
        if log is None:
            return False
        if number <= log.last:
            return True
        log.said_bytes += len(event.encode())
        if log.said_bytes > self._byte_cap:
            return False
        log.last = number
        log.add(event)
        return True

    async def close(self, task_id: str, last: str = "") -> None:
        log = self._open_log(task_id)
        if log is None:
            return
        if last:
            log.add(last)
        log.forgotten_at = self._clock.now() + self._ttl_s
        log.wake()

    async def tenant_of(self, task_id: str) -> str | None:
        log = self._log(task_id)
        return None if log is None else log.tenant

    async def facts(self, task_id: str) -> str | None:
        log = self._log(task_id)
        return None if log is None else log.facts

    async def read(self, task_id: str, after: str | None) -> AsyncIterator[tuple[str, str]]:
        seen = int(checked_event_id(after).partition("-")[0])
        while log := self._log(task_id):
            for event in log.events[seen:]:
                seen += 1
                yield f"{seen}-0", event
            if seen < len(log.events):
                continue
            if log.forgotten_at is not None:
                return
            await log.changed.wait()

    def _log(self, task_id: str) -> _Log | None:
        log = self._logs.get(task_id)
        if log and log.forgotten_at is not None and log.forgotten_at <= self._clock.now():
            del self._logs[task_id]
            return None
        return log

    def _open_log(self, task_id: str) -> _Log | None:
        log = self._log(task_id)
        return None if log is None or log.forgotten_at is not None else log
