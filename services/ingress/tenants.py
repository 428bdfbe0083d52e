"""A tenant is who pays: known by an API key, with a quota and with promises it may ask for."""

import hashlib
import hmac
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.domain.errors import SettingsError, Unauthenticated
from shared.domain.task import Promise

_ANY: Final = Promise()
_UNLIMITED: Final = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """`shortest` holds the tightest limits it may ask for; None of them is any."""

    name: str
    requests_per_min: int | None = None
    tokens_per_min: int | None = None
    shortest: Promise = _ANY

    def has_quota(self) -> bool:
        return self.requests_per_min is not None or self.tokens_per_min is not None

    def quota(self) -> tuple[int, int]:
        """Requests and tokens a minute."""
        return self.requests_per_min or _UNLIMITED, self.tokens_per_min or _UNLIMITED


LOCAL: Final = Tenant(name="local")


_Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="64 digits, hexadecimal")]


class _TenantTable(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    key_sha256: list[_Sha256] = Field(min_length=1)
    requests_per_min: int | None = Field(default=None, ge=1)
    tokens_per_min: int | None = Field(default=None, ge=1)
    shortest_ttft_ms: float | None = Field(default=None, gt=0)
    shortest_tpot_ms: float | None = Field(default=None, gt=0)
    shortest_e2e_ms: float | None = Field(default=None, gt=0)

    def tenant(self, name: str) -> Tenant:
        return Tenant(
            name=name,
            requests_per_min=self.requests_per_min,
            tokens_per_min=self.tokens_per_min,
            shortest=Promise(
                ttft_s=_seconds(self.shortest_ttft_ms),
                tpot_s=_seconds(self.shortest_tpot_ms),
                e2e_s=_seconds(self.shortest_e2e_ms),
            ),
        )


class _TenantsFile(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    tenants: dict[str, _TenantTable] = Field(min_length=1)


@dataclass(frozen=True, slots=True)
class Tenants:
    """Keys are kept as digests; none at all means that everybody is the local tenant."""

    by_digest: tuple[tuple[bytes, Tenant], ...] = ()

    @classmethod
    def load(cls, path: Path | None) -> Self:
        """Raises SettingsError, which names the file and what is wrong in it."""
        if path is None:
            return cls()
        try:
            parsed = _TenantsFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
            return cls(tuple(_digests(parsed)))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValueError) as error:
            raise SettingsError(f"CATO_TENANTS_FILE is {path}: {_told(error)}") from error

    def of(self, authorization: str | None) -> Tenant:
        """Raises Unauthenticated."""
        if not self.by_digest:
            return LOCAL
        scheme, _, key = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise Unauthenticated(
                "no API key; send the header `authorization: Bearer <key>`", param="authorization"
            )
        return self._holder(hashlib.sha256(key.strip().encode("latin-1")).digest())

    def _holder(self, digest: bytes) -> Tenant:
        # Every key is compared, so that the time tells nothing about which one was close.
        fitting = [tenant for known, tenant in self.by_digest if hmac.compare_digest(known, digest)]
        if not fitting:
            raise Unauthenticated("this API key is not known here", param="authorization")
        return fitting[0]


def _digests(parsed: _TenantsFile) -> list[tuple[bytes, Tenant]]:
    return [
        (bytes.fromhex(digest), table.tenant(name))
        for name, table in parsed.tenants.items()
        for digest in table.key_sha256
    ]


def _told(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error)


def _seconds(given_ms: float | None) -> float | None:
    return None if given_ms is None else given_ms / 1000
