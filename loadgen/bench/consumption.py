"""What this process itself has used; other load on the machine takes wall time, not this."""

import resource
import sys
from typing import Final

# What getrusage counts in: bytes on macOS, kilobytes everywhere else.
_RSS_PER_MIB: Final = 2**20 if sys.platform == "darwin" else 2**10


def cpu_s() -> float:
    """Seconds of CPU since it started, the kernel's for it included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_mib() -> float:
    """The most memory it ever held, the interpreter included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _RSS_PER_MIB
