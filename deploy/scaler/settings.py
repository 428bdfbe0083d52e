"""What an operator can set about a scaler of containers."""

from typing import Self

from pydantic import Field, model_validator

from shared.runtime.settings import ServiceSettings


class ScalerSettings(ServiceSettings):
    scale_least: int = Field(default=1, ge=1, le=1000, description="workers that are always there")
    scale_most: int = Field(ge=1, le=1000, description="the most workers this host has room for")
    scale_hold_s: float = Field(
        default=300.0, ge=0, description="seconds for which a worker stays after it was needed"
    )
    compose_project: str = Field(default="cato", min_length=1)
    compose_service: str = Field(default="worker", min_length=1)
    stop_s: float = Field(
        default=30.0, ge=1, description="seconds to drain before Docker kills; above CATO_DRAIN_S"
    )

    @model_validator(mode="after")
    def _bounds_agree(self) -> Self:
        if self.scale_most < self.scale_least:
            raise ValueError(
                f"CATO_SCALE_MOST={self.scale_most} is below CATO_SCALE_LEAST={self.scale_least}"
            )
        return self
