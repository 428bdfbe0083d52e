"""A stop string ends an answer and is not part of it, even when it comes in several tokens."""

from dataclasses import dataclass


@dataclass(slots=True)
class StopScanner:
    """Lets text through until a stop string is complete; holds back what might become one."""

    stops: tuple[str, ...]
    is_stopped: bool = False
    _held: str = ""

    def feed(self, text: str) -> str:
        """The text that can be shown now."""
        if not self.stops:
            return text
        whole = self._held + text
        found = min((at for stop in self.stops if (at := whole.find(stop)) >= 0), default=-1)
        if found >= 0:
            self.is_stopped = True
            self._held = ""
            return whole[:found]
        shown = len(whole) - self._doubtful_chars(whole)
        self._held = whole[shown:]
        return whole[:shown]

    def rest(self) -> str:
        """The answer is over: what was held back did not become a stop string."""
        held, self._held = self._held, ""
        return held

    def _doubtful_chars(self, whole: str) -> int:
        """How long an end of the text is the beginning of a stop string."""
        longest = max(len(stop) for stop in self.stops) - 1
        for length in range(min(longest, len(whole)), 0, -1):
            if any(stop.startswith(whole[-length:]) for stop in self.stops):
                return length
        return 0
