"""For how long a walk stops the service, and what the child needs for it."""

import argparse
import gc
import statistics
import sys

import psutil
from rich.console import Console

from leakguard import LeakGuard


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    heap = [{"number": [number]} for number in range(args.objects // 2)]
    gc.collect()
    guard = LeakGuard(token="benchmark", monitor=False)
    taken = [guard.snapshot() for _ in range(args.rounds)]
    Console().print(
        f"{taken[-1].objects:,} objects ({len(heap):,} of them ours), RSS "
        f"{psutil.Process().memory_info().rss >> 20:,} MiB: the service stands still for "
        f"{statistics.median(each.pause_s for each in taken) * 1e3:.2f} ms; the child walks and "
        f"counts for {statistics.median(each.cpu_s for each in taken):.2f} s of CPU, "
        f"{statistics.median(each.cpu_s / each.objects for each in taken) * 1e6:.2f} us an object"
    )
    guard.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
