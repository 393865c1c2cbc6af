"""Find memory leaks of running Python web services, by route."""

from .core.config import Config
from .core.suspect import Suspect
from .entry import LeakGuardMiddleware, LeakGuardWSGIMiddleware
from .exceptions import (
    ConfigError,
    InstallError,
    LeakGuardError,
    SnapshotNotFoundError,
    WalkError,
    WatchError,
)
from .guard import LeakGuard
from .heap.snapshot import Snapshot
from .reports.report import Report

__all__ = [
    "Config",
    "ConfigError",
    "InstallError",
    "LeakGuard",
    "LeakGuardError",
    "LeakGuardMiddleware",
    "LeakGuardWSGIMiddleware",
    "Report",
    "Snapshot",
    "SnapshotNotFoundError",
    "Suspect",
    "WalkError",
    "WatchError",
]
