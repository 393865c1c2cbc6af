"""How much memory the process uses, and how much it may use."""

import gc
import os
import sys
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import psutil

from ..exceptions import WalkError

_UNLIMITED = 1 << 60
_SPARE_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class Level:
    """
    The state of the process.

    `limit_bytes` is the container's (cgroup) limit, or the machine's memory where there is none;
    `limit_source` says which.
    """

    pid: int
    started_at: float
    uptime_s: float
    rss_bytes: int
    heap_blocks: int
    limit_bytes: int
    limit_source: str
    gc: dict[str, object]
    python: str


def read_level() -> Level:
    """Read the state of the process. Takes some 0.2 ms; never call it in a request."""
    process = psutil.Process()
    started_at = process.create_time()
    limit = container_limit()
    return Level(
        pid=os.getpid(),
        started_at=started_at,
        uptime_s=round(time.time() - started_at, 3),
        rss_bytes=process.memory_info().rss,
        heap_blocks=sys.getallocatedblocks(),
        limit_bytes=psutil.virtual_memory().total if limit is None else limit,
        limit_source="machine" if limit is None else "cgroup",
        gc={
            "enabled": gc.isenabled(),
            "frozen": gc.get_freeze_count(),
            "threshold": list(gc.get_threshold()),
            "collections": [each["collections"] for each in gc.get_stats()],
            "uncollectable": sum(each["uncollectable"] for each in gc.get_stats()),
        },
        python=sys.version.split()[0],
    )


def read_resources() -> dict[str, int]:
    """Count the threads and the open descriptors of the process."""
    process = psutil.Process()
    fds = process.num_fds() if hasattr(process, "num_fds") else -1
    return {"threads": process.num_threads(), "fds": fds}


def require_headroom(*, root: Path = Path("/")) -> None:
    """
    Check that a forked child could copy all private memory of this process without harm.

    A child that reads objects writes their reference counts, so nearly every page of the heap is
    copied. Where a container's memory does not hold both, the kernel would end one of them.

    Raises:
        WalkError: It does not suffice; the message says how much is free and how much is needed.
    """
    memory = psutil.Process().memory_info()
    need = memory.rss - getattr(memory, "shared", 0) + _SPARE_BYTES
    free = psutil.virtual_memory().available
    for directory in _cgroup_directories(root):
        limit, used = _limit(directory), _used(directory)
        if limit is not None and used is not None:
            free = min(free, limit - used)
    if free < need:
        raise WalkError(
            "headroom",
            f"a walk needs {need >> 20} MiB of free memory for copy-on-write, {free >> 20} MiB "
            "are left",
        )


@cache
def container_limit(root: Path = Path("/")) -> int | None:
    """Return the smallest memory limit of the cgroups above this process, in bytes, if any."""
    limits = [_limit(directory) for directory in _cgroup_directories(root)]
    return min((limit for limit in limits if limit is not None), default=None)


def _cgroup_directories(root: Path) -> list[Path]:
    """Return the memory cgroup of this process and those above it, version 2 or 1."""
    found: list[Path] = []
    for line in (_text(root / "proc/self/cgroup") or "").splitlines():
        number, controllers, path = line.split(":", 2)
        if number == "0":
            top = root / "sys/fs/cgroup"
        elif "memory" in controllers.split(","):
            top = root / "sys/fs/cgroup/memory"
        else:
            continue
        # In a container the path is the host's: only the top of it is seen there.
        own = top / path.lstrip("/")
        found += [top, *(each for each in [own, *own.parents] if top in each.parents)]
    return found


def _limit(directory: Path) -> int | None:
    for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
        text = _text(directory / name)
        if text and text.strip().isdigit() and int(text) < _UNLIMITED:
            return int(text)
    return None


def _used(directory: Path) -> int | None:
    """Return the memory in use, without the file cache that the kernel would give up."""
    for current, inactive in (
        ("memory.current", "inactive_file"),
        ("memory.usage_in_bytes", "total_inactive_file"),
    ):
        text = _text(directory / current)
        if text:
            rows = (row.split() for row in (_text(directory / "memory.stat") or "").splitlines())
            cache_bytes = sum(int(row[1]) for row in rows if row[0] == inactive)
            return int(text) - cache_bytes
    return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None
