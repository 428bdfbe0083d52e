"""A client may name its own promise, within what its tenant may ask for."""

from typing import Final

from services.ingress.tenants import Tenant
from shared.domain.task import Promise
from shared.tasks import TASKS
from shared.telemetry import names
from shared.telemetry.instruments import clamped_promises

_UNNAMED: Final = "unnamed"


def resolve(
    own: Promise | None, *, kind: str | None, tenant: Tenant, read_timeout_s: float | None
) -> Promise | None:
    """What the client was promised beyond the usual of its kind; None leaves it at the usual."""
    if own is None:
        return _within_timeout(kind, read_timeout_s)
    clamped = clamp(own, tenant.shortest)
    if clamped != own:
        clamped_promises.add(1, {names.KIND: kind or _UNNAMED})
    return clamped


def clamp(own: Promise, shortest: Promise) -> Promise:
    return Promise(
        ttft_s=_at_least(own.ttft_s, shortest.ttft_s),
        tpot_s=_at_least(own.tpot_s, shortest.tpot_s),
        e2e_s=_at_least(own.e2e_s, shortest.e2e_s),
    )


def _at_least(own_s: float | None, shortest_s: float | None) -> float | None:
    return own_s if own_s is None or shortest_s is None else max(own_s, shortest_s)


def _within_timeout(kind: str | None, read_timeout_s: float | None) -> Promise | None:
    """Who hangs up after a while was promised no more time than that."""
    usual_s = None if kind is None else TASKS[kind].promise.e2e_s
    if usual_s is None or read_timeout_s is None or read_timeout_s >= usual_s:
        return None
    return Promise(e2e_s=read_timeout_s)
