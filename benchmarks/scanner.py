"""Send a million requests over 100,000 paths that match no route: leakguard must stay small."""

import argparse
import asyncio
import sys

import psutil
from rich.console import Console
from rich.progress import track
from starlette.applications import Starlette

from leakguard import LeakGuard, LeakGuardMiddleware

SCOPE = {
    "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
    "scheme": "http", "root_path": "", "query_string": b"", "headers": [],
    "client": ("127.0.0.1", 1), "server": ("localhost", 80),
}  # fmt: skip


async def receive():
    return {"type": "http.request", "body": b"", "more_body": False}


async def send(_message):
    pass


async def scan(app, begin, end, paths):
    for number in range(begin, end):
        path = f"/probe/{number % paths}"
        # A method of its own for every tenth, as scanners try those, too.
        method = "GET" if number % 10 else f"M{number % paths}"
        await app(
            {**SCOPE, "method": method, "path": path, "raw_path": path.encode()}, receive, send
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1_000_000)
    parser.add_argument("--paths", type=int, default=100_000)
    args = parser.parse_args()
    guard = LeakGuard(token="benchmark", monitor=False)
    app = LeakGuardMiddleware(Starlette(), guard=guard)
    console = Console()
    process = psutil.Process()
    steps = 10
    for step in track(range(steps), "scanning", console=console, transient=True):
        begin, end = (args.requests * each // steps for each in (step, step + 1))
        asyncio.run(scan(app, begin, end, args.paths))
        own = guard.own_bytes()
        routes = guard.report().routes
        console.print(
            f"{end:>9,} requests: {len(routes)} routes, {own:,} bytes in leakguard's stores, "
            f"RSS {process.memory_info().rss >> 10:,} KiB"
        )
    guard.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
