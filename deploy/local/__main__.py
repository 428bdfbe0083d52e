"""What `make up` and `make demo` start."""

import signal
import sys

# Until something runs, Ctrl-C has nothing to end in order and needs no traceback either.
if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from deploy.local.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
