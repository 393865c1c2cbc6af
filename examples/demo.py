"""
Start an example under a real server, send it traffic, and print what leakguard says of it.

    python -m examples.demo fastapi|flask [--serve]
"""

import argparse
import asyncio
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx
import websockets
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table

HOST = "127.0.0.1"
CLIENTS = 16
ROUND_S = 2.5
ROUNDS = 5
"""Rounds of traffic that are sent at least; a machine under load gets more, up to the limit."""
TRAFFIC_LIMIT_S = 35.0
START_LIMIT_S = 10.0
SETTLE_LIMIT_S = 8.0
STOP_LIMIT_S = 4.0
REQUEST_TIMEOUT_S = 10.0
EVENTS_READ = 2
SETTINGS = {
    # A look each second, so that seconds show what takes minutes in production.
    "LEAKGUARD_INTERVAL_S": "1",
    "LEAKGUARD_CPU_BUDGET": "1",
}
PIPE_WIDTH = 160
STATE_STYLES = {"confirmed": "bold red", "suspect": "yellow", "resolved": "green"}
PLAIN_TYPES = frozenset(("dict", "list", "tuple", "set", "deque", "OrderedDict"))
"""Types that tell nothing about what is kept."""

Row = dict[str, Any]
Route = tuple[str, str]
Advance = Callable[[str | None], None]


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


@dataclass(frozen=True, slots=True)
class Visit:
    """
    A URL to ask for so many times in a round.

    `how` is `get`, or `stream` for endless events, or `socket` for a WebSocket.
    """

    path: str
    times: int
    how: str = "get"

    @property
    def route(self) -> Route:
        """Return the method and template under which leakguard knows it."""
        return ("WEBSOCKET" if self.how == "socket" else "GET", self.path)


def twins(name: str, times: int, how: str = "get") -> tuple[Visit, Visit]:
    return Visit(f"/{name}/leaky", times, how), Visit(f"/{name}/mended", times, how)


@dataclass(frozen=True, slots=True)
class Example:
    """A service, the command that serves it, and the traffic that it gets."""

    name: str
    command: tuple[str, ...]
    visits: tuple[Visit, ...]

    @property
    def leaky(self) -> list[Route]:
        return [each.route for each in self.visits if each.path.endswith("/leaky")]

    @property
    def mended(self) -> list[Route]:
        return [each.route for each in self.visits if each.path.endswith("/mended")]


EXAMPLES = {
    "fastapi": Example(
        "FastAPI under uvicorn",
        ("uvicorn", "examples.fastapi_app.app:app", "--host", HOST, "--port", "{port}",
         "--log-level", "warning", "--timeout-graceful-shutdown", "2"),
        (
            Visit("/", 80),
            Visit("/orders/{number}", 80),
            *twins("listeners", 30),
            *twins("connections", 20, "stream"),
            *twins("caches", 40),
            *twins("closures", 30),
            *twins("timers", 30),
            *twins("tasks", 30),
            *twins("streams", 30),
            *twins("sockets", 10, "socket"),
        ),
    ),
    "flask": Example(
        "Flask under gunicorn (gthread)",
        # Connections stay open, so that none is closed just as a client uses it again.
        ("gunicorn", "examples.flask_app.app:app", "--bind", HOST + ":{port}", "--workers", "1",
         "--worker-class", "gthread", "--threads", "4", "--keep-alive", "30",
         "--log-level", "warning", "--graceful-timeout", "2"),
        (
            Visit("/", 80),
            Visit("/orders/{number}", 80),
            *twins("listeners", 40),
            *twins("connections", 20, "stream"),
            *twins("caches", 50),
            *twins("closures", 40),
            *twins("timers", 20),  # each of them is a thread
            *twins("streams", 40),
        ),
    ),
}  # fmt: skip


# The server ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Server:
    """A running example, and how to ask it for its report."""

    url: str
    token: str
    process: subprocess.Popen[bytes]
    log: IO[bytes]

    def report(self) -> Row:
        """
        Return what `/debug/memory` answers.

        Raises:
            DemoError: It does not answer, or not with a report.
        """
        try:
            answer = httpx.get(
                f"{self.url}/debug/memory",
                headers={"Authorization": f"Bearer {self.token}"},
                timeout=REQUEST_TIMEOUT_S,
                trust_env=False,
            )
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise DemoError(f"no report from {self.url}/debug/memory: {error}") from error
        return answer.json()

    def require_alive(self) -> None:
        code = self.process.poll()
        if code is not None:
            raise DemoError(f"the server has ended by itself, with exit code {code}")

    def last_lines(self, count: int = 15) -> str:
        self.log.seek(0)
        return b"\n".join(self.log.read().splitlines()[-count:]).decode(errors="replace")


@contextmanager
def running(example: Example) -> Iterator[Server]:
    """Serve *example* on a free port, and end the server however the block ends."""
    port = free_port()
    token = os.environ.get("LEAKGUARD_TOKEN") or secrets.token_urlsafe(24)
    command = [sys.executable, "-m", *(word.format(port=port) for word in example.command)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, **SETTINGS, "LEAKGUARD_TOKEN": token},
            cwd=Path(__file__).parents[1],
            stdout=log,
            stderr=log,
            # Ctrl-C in the terminal is for the demo, which then ends the server in its own way.
            start_new_session=True,
        )
        try:
            yield Server(f"http://{HOST}:{port}", token, process, log)
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the server gently, and after a while by force, with all its workers."""
    process.terminate()
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def wait_until_up(server: Server) -> None:
    """
    Wait for the first answer.

    Raises:
        DemoError: The server ended, or does not answer in time.
    """
    end = time.monotonic() + START_LIMIT_S
    while time.monotonic() < end:
        server.require_alive()
        try:
            httpx.get(server.url, timeout=REQUEST_TIMEOUT_S, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise DemoError(f"the server does not answer within {START_LIMIT_S:.0f} s")


# The traffic --------------------------------------------------------------------------------------


async def send_round(
    client: httpx.AsyncClient, visits: tuple[Visit, ...], advance: Advance
) -> None:
    """
    Make all *visits* once over, mixed, by `CLIENTS` at a time, spread over `ROUND_S`.

    Args:
        client: Makes them.
        visits: What to ask for.
        advance: Called after each request, with what went wrong, if anything did.
    """
    mixed = [visit for visit in visits for _ in range(visit.times)]
    random.shuffle(mixed)
    planned = enumerate(mixed)
    begun = time.monotonic()

    async def be_a_client() -> None:
        for number, visit in planned:  # all clients take from this one list
            due = begun + ROUND_S * number / len(mixed)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            failure = None
            try:
                await make(visit, client, number)
            except (httpx.HTTPError, websockets.WebSocketException, OSError) as error:
                failure = f"{visit.path}: {type(error).__name__} {error}"
            advance(failure)

    await asyncio.gather(*(be_a_client() for _ in range(CLIENTS)))


async def make(visit: Visit, client: httpx.AsyncClient, number: int) -> None:
    path = visit.path.format(number=number)
    if visit.how == "socket":
        await talk(f"{client.base_url.copy_with(scheme='ws', path=path)}")
    elif visit.how == "stream":
        await listen_in(client, path)
    else:
        (await client.get(path)).raise_for_status()


async def listen_in(client: httpx.AsyncClient, path: str) -> None:
    """Read the first events of an endless stream, and go away."""
    async with client.stream("GET", path) as answer:
        answer.raise_for_status()
        lines = answer.aiter_lines()
        events = 0
        while events < EVENTS_READ:
            events += (await anext(lines)).startswith("data:")


async def talk(url: str) -> None:
    async with websockets.connect(url, open_timeout=REQUEST_TIMEOUT_S) as connection:
        await connection.send("hello")
        await connection.recv()


async def send_traffic(server: Server, example: Example, advance: Advance) -> None:
    """
    Send rounds of traffic until all leaky routes are confirmed, or the time limit has come.

    A leak is growth that goes on, so leakguard has to see several rounds; how many it sees in a
    second depends on the machine.
    """
    limits = httpx.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
    begun = time.monotonic()
    sent = 0
    async with httpx.AsyncClient(
        base_url=server.url, limits=limits, timeout=REQUEST_TIMEOUT_S, trust_env=False
    ) as client:
        while time.monotonic() - begun < TRAFFIC_LIMIT_S - ROUND_S:
            await send_round(client, example.visits, advance)
            sent += 1
            if sent >= ROUNDS:
                report = await asyncio.to_thread(server.report)
                if set(example.leaky) <= named(report, "confirmed"):
                    return


# The verdict --------------------------------------------------------------------------------------


def settled(server: Server) -> Row:
    """Return the report of a pass that began after the last request, if there is one in time."""
    end = time.monotonic() + SETTLE_LIMIT_S
    # The pass under way may have begun before it; the one after that has not.
    wanted = server.report()["overhead"]["passes"] + 2
    while True:
        report = server.report()
        if report["overhead"]["passes"] >= wanted or time.monotonic() > end:
            return report
        time.sleep(0.25)


def named(report: Row, *states: str) -> set[Route]:
    """Return the routes that suspects in one of *states* name."""
    return {
        (route["method"], route["route"])
        for suspect in report["suspects"]
        if suspect["state"] in states
        for route in suspect["routes"]
    }


def left_behind(report: Row) -> dict[Route, int]:
    """Return how many requests and listeners each route has left behind."""
    return {
        (row["method"], row["route"]): row["retained_requests"] + row["listeners_unreleased"]
        for row in report["routes"]
    }


def judge(console: Console, example: Example, report: Row) -> bool:
    """Say whether leakguard named all leaky routes and no mended one."""
    left = left_behind(report)
    confirmed, accused = named(report, "confirmed"), named(report, "confirmed", "suspect")
    missed = [each for each in example.leaky if each not in confirmed]
    wronged = [each for each in example.mended if each in accused]
    clean = [each for each in example.mended if each not in accused and left.get(each) == 0]
    if clean:
        console.print(
            f"[green]{len(clean)} of {len(example.mended)} mended twins are clean[/], with no "
            f"request and no listener left behind: {listed(clean)}",
            highlight=False,
        )
    for each in example.mended:
        if each not in wronged and each not in clean:
            console.print(f"[yellow]Not clean:[/] {listed([each])} left {left.get(each)} behind")
    if missed:
        console.print(f"[bold red]Leaky, but not confirmed:[/] {listed(missed)}")
    if wronged:
        console.print(f"[bold red]Mended, but named:[/] {listed(wronged)}")
    return not missed and not wronged


def listed(routes: list[Route]) -> str:
    return ", ".join(escape(" ".join(route)) for route in routes)


# The report ---------------------------------------------------------------------------------------


def show(console: Console, example: Example, report: Row) -> None:
    """Print the suspects as a table, and what to do about each below it."""
    table = Table(title=f"What leaks: {example.name}", title_style="bold", box=box.HORIZONTALS,
                  show_lines=True, padding=(0, 1, 0, 0))  # fmt: skip
    for name in ("", "route", "what is kept", "a request", "holder", "line", "state"):
        table.add_column(name, overflow="fold", no_wrap=name in ("a request", "state"))
    for number, suspect in enumerate(report["suspects"], 1):
        style = STATE_STYLES[suspect["state"]]
        cells = (routes(suspect), kept(suspect), amount(suspect), holder(suspect), place(suspect))
        table.add_row(
            str(number), *(escape(cell) for cell in cells), f"[{style}]{suspect['state']}[/]"
        )
    console.print(table)
    for number, suspect in enumerate(report["suspects"], 1):
        console.print(f"[bold]{number}[/] {escape(suspect['advice'])}", highlight=False)
    console.print()


def routes(suspect: Row) -> str:
    return "\n".join(f"{each['method']}\n{each['route']}" for each in suspect["routes"])


def kept(suspect: Row) -> str:
    """Return the kind, and the listener or the last named things on the way to the request."""
    if suspect["kind"] == "listener":
        return f"{suspect['kind']}\n{suspect['evidence'][0].removeprefix('listener ')}"
    chain = [step.rpartition(": ")[2] for step in suspect["path"][1:]]
    telling = [each for each in chain if each not in PLAIN_TYPES]
    return f"{suspect['kind']}\n{' > '.join(telling[-2:])}"


def amount(suspect: Row) -> str:
    each = suspect["per_request"]
    size = "size not known" if each["bytes"] is None else in_units(each["bytes"])
    return f"{each['count']:.2f}\n{size}"


def holder(suspect: Row) -> str:
    """Return the dotted name, its last part on a line of its own."""
    module, dot, name = suspect["holder"].rpartition(".")
    return f"{module}\n{dot}{name}" if dot else name


def in_units(size_bytes: float) -> str:
    return f"{size_bytes / 1024:.1f} KiB" if size_bytes >= 1024 else f"{size_bytes:.0f} B"


def place(suspect: Row) -> str:
    """Return the first line that the suspect points to, below the working directory."""
    if not suspect["sites"]:
        return "not known"
    site = suspect["sites"][0]
    path = Path(site["file"])
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    return f"{path.parent}/\n{path.name}:{site['line']}"


# The way through ----------------------------------------------------------------------------------


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
