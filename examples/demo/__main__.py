"""
Start an example under a real server, send it traffic, and print what leakguard says of it.

    python -m examples.demo fastapi|flask [--serve]
"""

import argparse
import asyncio
import signal
import sys
import time
from collections import Counter

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

from .plan import EXAMPLES, Example
from .server import DemoError, Server, running, wait_until_up
from .table import show
from .traffic import ROUNDS, send_traffic
from .verdict import judge, settled

PIPE_WIDTH = 160


def run(console: Console, example: Example, server: Server, *, serve: bool) -> int:
    console.print(f"Starting {example.name} at {server.url} …")
    wait_until_up(server)
    failures: Counter[str] = Counter()
    columns = ("Sending requests", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        a_round = sum(visit.times for visit in example.visits)
        task = progress.add_task("traffic", total=ROUNDS * a_round)

        def advance(failure: str | None) -> None:
            sent = progress.tasks[task]
            if sent.finished:  # and not all is judged yet
                progress.update(task, total=sent.completed + a_round)
            progress.advance(task)
            if failure is not None:
                failures[failure] += 1

        asyncio.run(send_traffic(server, example, advance))
    server.require_alive()
    for text, count in failures.most_common(5):
        console.print(f"[yellow]{count} requests failed:[/] {escape(text)}")
    with console.status("Waiting for leakguard's last look …"):
        report = settled(server)
    show(console, example, report)
    good = judge(console, example, report)
    if serve:
        stay_up(console, server)
    return 0 if good else 1


def stay_up(console: Console, server: Server) -> None:
    """Leave the server up until Ctrl-C."""
    console.print(f"\nServing at {server.url}, token {server.token}. Ctrl-C ends it. Look again:")
    console.print(
        f'curl -H "Authorization: Bearer {server.token}" {server.url}/debug/memory',
        soft_wrap=True, highlight=False, markup=False,
    )  # fmt: skip
    try:
        while True:
            server.require_alive()
            time.sleep(0.5)
    except KeyboardInterrupt:
        return


def main(arguments: list[str] | None = None) -> int:
    """Run the demo and return its exit code: 0 if leakguard found what it should, else 1."""
    parser = argparse.ArgumentParser(prog="python -m examples.demo", description=__doc__)
    parser.add_argument("example", choices=sorted(EXAMPLES))
    parser.add_argument("--serve", action="store_true", help="leave the server up afterwards")
    options = parser.parse_args(arguments)
    # A pipe has no width of its own, and a table of this kind needs some.
    console = Console(width=None if sys.stdout.isatty() else PIPE_WIDTH)
    example = EXAMPLES[options.example]
    # Ended from outside, the demo still ends its server, as it does on Ctrl-C.
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        with running(example) as server:
            try:
                return run(console, example, server, serve=options.serve)
            except Exception as error:
                said = str(error) if isinstance(error, DemoError) else repr(error)
                console.print(f"[bold red]The demo failed:[/] {escape(said)}")
                console.print(f"The server's last lines:\n{escape(server.last_lines())}")
                return 1
    except KeyboardInterrupt:
        console.print("[bold red]Interrupted.[/] The server is stopped.")
        return 1


if __name__ == "__main__":
    sys.exit(main())
