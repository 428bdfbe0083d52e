"""Limits of one ingress."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Knobs:
    """The settings explain each."""

    model: str = "cato-demo"
    context_tokens: int = 131_072
    max_body_bytes: int = 1_835_008
    max_open_bytes: int = 64 * 1024 * 1024
    client_buffer_bytes: int = 256 * 1024
    head_s: float = 10.0
    keep_alive_s: float = 10.0
    backlog_stale_s: float = 5.0
    event_bytes: int = 4 * 1024 * 1024
    idempotency_ttl_s: float = 3600.0
