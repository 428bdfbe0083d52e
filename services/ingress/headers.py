"""A client says in headers who it is, what it was promised, and which request this one repeats."""

import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Final, Self

from shared.domain.errors import InvalidRequest, UnknownTaskKind
from shared.domain.task import Promise
from shared.tasks import TASKS

_TTFT: Final = (b"x-llm-d-slo-ttft-ms", b"x-slo-ttft-ms")
_TPOT: Final = (b"x-llm-d-slo-tpot-ms", b"x-slo-tpot-ms")
_E2E: Final = (b"x-slo-e2e-ms",)
_SESSION: Final = (
    b"x-cato-session",
    b"x-session-affinity",
    b"session-id",
    b"x-claude-code-session-id",
)
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._:@/+=-]")
_LONGEST_ID: Final = 128
_LONGEST_KEY: Final = 255
_LONGEST_PROMISE_MS: Final = 86_400_000.0
# What openai-python sends when nobody chose a limit.
_NO_TIMEOUT_S: Final = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHeaders:
    """`promise` is the client's own, as it was sent; `read_timeout_s` is how long it will wait."""

    authorization: str | None = None
    kind: str | None = None
    promise: Promise | None = None
    session: str | None = None
    idempotency_key: str | None = None
    last_event_id: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None
    read_timeout_s: float | None = None

    @classmethod
    def read(cls, raw: Iterable[tuple[bytes, bytes]]) -> Self:
        """Raises InvalidRequest, which names the header."""
        found = dict(raw)
        _check_encoding(found)
        return cls(
            authorization=_text(found, b"authorization"),
            kind=_kind(found),
            promise=_promise(found),
            session=_first(found, _SESSION),
            idempotency_key=_idempotency_key(found),
            last_event_id=_text(found, b"last-event-id"),
            traceparent=_text(found, b"traceparent"),
            tracestate=_text(found, b"tracestate"),
            read_timeout_s=_read_timeout_s(found),
        )


def request_id(raw: Iterable[tuple[bytes, bytes]]) -> str:
    """The client's own, without what does not belong in a header or a log; else a new one."""
    for name, value in raw:
        if name == b"x-request-id":
            clean = _UNSAFE.sub("", value.decode("latin-1"))[:_LONGEST_ID]
            if clean:
                return clean
    return f"req-{uuid.uuid4().hex}"


def known_kind(kind: str, *, param: str) -> str:
    """Raises UnknownTaskKind."""
    if kind not in TASKS:
        raise UnknownTaskKind(kind[:_LONGEST_ID], tuple(TASKS), param=param)
    return kind


def _text(found: Mapping[bytes, bytes], name: bytes) -> str | None:
    value = found.get(name)
    return value.decode("latin-1").strip() or None if value is not None else None


def _first(found: Mapping[bytes, bytes], names: Iterable[bytes]) -> str | None:
    for name in names:
        text = _text(found, name)
        if text is not None:
            return text[:_LONGEST_KEY]
    return None


def _kind(found: Mapping[bytes, bytes]) -> str | None:
    kind = _text(found, b"x-cato-task")
    return None if kind is None else known_kind(kind.lower(), param="x-cato-task")


def _check_encoding(found: Mapping[bytes, bytes]) -> None:
    encoding = _text(found, b"content-encoding")
    if encoding is not None and encoding.lower() != "identity":
        raise InvalidRequest(
            f"{encoding[:40]!r} is not understood here; send the body as it is",
            param="content-encoding",
        )


def _idempotency_key(found: Mapping[bytes, bytes]) -> str | None:
    key = _text(found, b"idempotency-key")
    if key is not None and len(key) > _LONGEST_KEY:
        raise InvalidRequest(
            f"the key has {len(key)} characters; send at most {_LONGEST_KEY}",
            param="idempotency-key",
        )
    return key


def _promise(found: Mapping[bytes, bytes]) -> Promise | None:
    limits = [_limit_s(found, names) for names in (_TTFT, _TPOT, _E2E)]
    if limits == [None, None, None]:
        return None
    return Promise(ttft_s=limits[0], tpot_s=limits[1], e2e_s=limits[2])


def _limit_s(found: Mapping[bytes, bytes], names: Iterable[bytes]) -> float | None:
    for name in names:
        text = _text(found, name)
        if text is not None:
            return limit_s(text, param=name.decode())
    return None


def limit_s(text: str, *, param: str) -> float:
    """Seconds out of milliseconds; raises InvalidRequest."""
    try:
        given_ms = float(text)
    except ValueError:
        given_ms = 0.0
    if not isfinite(given_ms) or not 0 < given_ms <= _LONGEST_PROMISE_MS:
        raise InvalidRequest(
            f"{text[:40]!r} is no promise; send milliseconds above 0 and up to a day", param=param
        )
    return given_ms / 1000


def _read_timeout_s(found: Mapping[bytes, bytes]) -> float | None:
    """A hint, so that garbage means nothing instead of a refusal."""
    text = _text(found, b"x-stainless-read-timeout")
    try:
        timeout_s = float(text or "")
    except ValueError:
        return None
    return timeout_s if 0 < timeout_s < _NO_TIMEOUT_S else None
