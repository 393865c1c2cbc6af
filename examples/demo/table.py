"""The report as a table."""

from pathlib import Path

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from .plan import Example
from .server import Row

STATE_STYLES = {"confirmed": "bold red", "suspect": "yellow", "resolved": "green"}
PLAIN_TYPES = frozenset(("dict", "list", "tuple", "set", "deque", "OrderedDict"))
"""Types that tell nothing about what is kept."""


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
