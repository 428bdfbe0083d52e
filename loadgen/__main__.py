"""`python -m loadgen` lets a workload arrive at a house and tells what was kept."""

import signal
import sys

# Until something runs, Ctrl-C has nothing to end in order and needs no traceback either.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from loadgen.cli import main
from shared.runtime.garbage import collect_seldom

_TERMINATED = 143

if __name__ == "__main__":
    collect_seldom()
    # An exit takes along what was started; the signal's own way would leave it behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sys.exit(main(sys.argv[1:]))
