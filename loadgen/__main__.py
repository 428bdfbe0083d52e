"""`python -m loadgen` lets a workload arrive at a house and tells what was kept."""

import sys

from loadgen.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
