"""Time reaches the house through one door, so that tests and simulations can bring their own."""

from typing import Protocol


class Clock(Protocol):
    def now(self) -> float:
        """The instant in epoch seconds, comparable between machines."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary origin; never goes backwards; for durations only."""
        ...

    async def sleep(self, duration_s: float) -> None: ...
