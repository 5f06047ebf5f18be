"""Plays the scenario of a seed and prints what happened: python -m tests.simulation SEED."""

import sys

from .loop import simulated_modules
from .scenario import play


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    with simulated_modules():
        loop = play(int(sys.argv[1]), is_traced=True)
    print("\n".join(loop.trace or []))
    for complaint in loop.complaints:
        print("WRONG:", complaint)
    return 1 if loop.complaints else 0


if __name__ == "__main__":
    sys.exit(main())
