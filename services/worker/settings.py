"""What a worker is told by its environment."""

import os
import socket
from typing import Self

from pydantic import Field, model_validator

from services.worker.engines import ENGINES
from services.worker.engines.settings import EngineSettings
from services.worker.stillness import STUCK_S
from shared.runtime.settings import ServiceSettings
from shared.scheduling.feeding import FEEDERS
from shared.scheduling.step_time import EngineProfile


def _own_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}"


class WorkerSettings(ServiceSettings, EngineSettings):
    worker_name: str = Field(
        default_factory=_own_name,
        pattern=r"^[A-Za-z0-9._-]{1,128}$",
        description="letters, digits, dots and dashes; by default the host's name and the process",
    )
    slots: int | None = Field(
        # Who keeps the backlog outside is the policy, prompt by prompt: who decodes is in
        # nobody's way.
        default=None,
        ge=1,
        description="attempts at once, at most and by default what the profile can run",
    )
    feeder: str = "holding"
    stuck_s: float = Field(
        default=STUCK_S,
        gt=0.0,
        description="seconds without a piece from a working engine, until the worker leaves it",
    )

    def slots_of(self, profile: EngineProfile) -> int:
        most = profile.max_sequences
        return most if self.slots is None else min(self.slots, most)

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for variable, given, known in (
            ("CATO_ENGINE", self.engine, ENGINES),
            ("CATO_FEEDER", self.feeder, FEEDERS),
        ):
            if given not in known:
                raise ValueError(f"{variable} is {given!r}; known: {', '.join(known)}")
        return self

    @model_validator(mode="after")
    def _server_is_named(self) -> Self:
        if self.engine == "openai" and self.engine_url is None:
            raise ValueError("CATO_ENGINE=openai also needs CATO_ENGINE_URL")
        return self
