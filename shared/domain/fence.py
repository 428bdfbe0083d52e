"""A fence says who may speak for a task now; whoever holds an older one is not heard."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True, order=True)
class Fence:
    """Ordered by epoch, then number.

    The epoch is an offset in Kafka, so numbers may restart when Redis is lost, fences may not.
    """

    epoch: int
    number: int

    def __str__(self) -> str:
        return f"{self.epoch}.{self.number}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises ValueError unless the text is `epoch.number`."""
        epoch, number = text.split(".")
        return cls(int(epoch), int(number))


# No attempt was ever started: older than every fence a scheduler hands out.
NO_FENCE = Fence(-1, 0)
