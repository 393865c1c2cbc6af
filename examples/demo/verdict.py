"""Whether leakguard named what leaks, and nothing else."""

import time

from rich.console import Console
from rich.markup import escape

from .plan import Example, Route
from .server import Row, Server

SETTLE_LIMIT_S = 8.0


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
