"""One answer is parsed and the process ends; it imports little, because it starts for each."""

import contextlib
import resource
import sys
from typing import Final

from shared.tasks.parsing import parses

PARSES: Final = 0
DOES_NOT: Final = 10

_CPU_S: Final = 3
_MEMORY_BYTES: Final = 1024 * 1024 * 1024


def main() -> int:
    """The language is the argument, the answer comes on standard input; the exit code says it."""
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    with contextlib.suppress(ValueError, OSError):  # Not every system bounds memory so.
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    answer = sys.stdin.buffer.read().decode("utf-8", "replace")
    return PARSES if parses(sys.argv[1], answer) else DOES_NOT


if __name__ == "__main__":
    sys.exit(main())
