"""An engine that holds work and brings nothing for long is stuck, whatever it says of itself."""

from dataclasses import dataclass
from typing import Final

from services.worker.engine import EngineDied

STUCK_S: Final = 60.0


@dataclass(slots=True)
class Stillness:
    """How long the engine has been at work without a word. What counts are looks, not a clock: a
    machine that slept is no engine that hangs. While it holds nothing the count rests, since a job
    that was given up in between is no word either."""

    limit_s: float = STUCK_S
    still_s: float = 0.0

    def heard(self) -> None:
        self.still_s = 0.0

    def look(self, since_s: float, running: int) -> EngineDied | None:
        """`since_s` after the last look."""
        if running:
            self.still_s += since_s
        if self.still_s < self.limit_s:
            return None
        return EngineDied(
            f"the engine brought nothing for {self.limit_s:g} s, the limit of CATO_STUCK_S, while"
            f" it ran {running} attempts"
        )
