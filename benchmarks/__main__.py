"""Run every benchmark, each in a process of its own, and print what it measured."""

import argparse
import subprocess
import sys

RUNS = (
    ("request_cost", "--objects", "10000"),
    ("request_cost", "--objects", "2000000"),
    ("scanner",),
    ("walk_pause", "--objects", "1000000"),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", help="names of benchmarks; all by default")
    only = parser.parse_args().only
    failed = 0
    for name, *arguments in RUNS:
        if not only or name in only:
            command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
            failed |= subprocess.run(command, check=False).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
