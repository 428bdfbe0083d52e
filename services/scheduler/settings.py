"""What an operator can set about a scheduler."""

import os
import socket

from pydantic import Field, field_validator

from services.scheduler.outlook import Foresight
from services.scheduler.scheduler import Knobs
from shared.runtime.settings import RedisSettings
from shared.scheduling.policies import POLICIES


class SchedulerSettings(RedisSettings):
    policy: str = "cato"
    scheduler_name: str = Field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    favour: float = Field(
        default=0.75, ge=0, le=1, description="0: as many promises as possible; 1: all kinds alike"
    )
    profile: str = "reference"
    lease_s: float = Field(default=3.0, ge=0.5, le=60)
    suspect_s: float = Field(default=0.3, ge=0.2, le=10)
    leader_ttl_s: float = Field(default=2.0, ge=0.5, le=60)
    attempts: int = Field(default=3, ge=1, le=20)
    starvation_s: float = Field(default=60.0, gt=0)
    worker_start_s: float = Field(
        default=30.0, ge=0, le=3600, description="seconds until a new worker has loaded its model"
    )
    scaling_caution: float = Field(
        default=1.0,
        ge=-2,
        le=5,
        description="head-room, in multiples of the forecast's error lately",
    )
    max_queued: int = Field(default=20_000, ge=1)
    max_queued_bytes: int = Field(default=128 * 1024 * 1024, ge=1)
    remember_s: float = Field(
        default=3600.0, ge=60, description="how long an ended task's record may still come again"
    )
    prompt_ttl_s: float = Field(
        default=86_400.0, ge=60, description="longest that Redis keeps a waiting task's prompt"
    )

    @field_validator("policy")
    @classmethod
    def _is_known(cls, name: str) -> str:
        if name not in POLICIES:
            raise ValueError(f"expected one of {', '.join(POLICIES)}")
        return name

    def knobs(self) -> Knobs:
        return Knobs(
            lease_s=self.lease_s,
            suspect_s=self.suspect_s,
            attempts=self.attempts,
            starvation_s=self.starvation_s,
            max_queued=self.max_queued,
            max_queued_bytes=self.max_queued_bytes,
        )

    def foresight(self) -> Foresight:
        return Foresight(start_s=self.worker_start_s, caution=self.scaling_caution)
