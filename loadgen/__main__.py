"""`python -m loadgen` lets a workload arrive at a house and tells what was kept."""

import sys

from loadgen.cli import main
from shared.runtime.garbage import collect_seldom

if __name__ == "__main__":
    collect_seldom()
    sys.exit(main(sys.argv[1:]))
