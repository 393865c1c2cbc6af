"""The errors that leakguard raises to its callers."""


class LeakGuardError(Exception):
    """Catch everything that leakguard raises on purpose."""


class ConfigError(LeakGuardError, ValueError):
    """Say which setting is wrong, what it allows, and what was given."""


class InstallError(LeakGuardError, TypeError):
    """Say why an application could not be wrapped."""


class WatchError(LeakGuardError, TypeError):
    """Say why the methods of an object could not be watched."""


class WalkError(LeakGuardError, RuntimeError):
    """
    Say why a walk over the heap gave no result.

    Attributes:
        reason: One word from a fixed list, for logs and metrics: `busy`, `off`, `headroom`,
            `deadline`, `crashed`, `refused`.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SnapshotNotFoundError(LeakGuardError, LookupError):
    """Say which snapshot was asked for, and which ones are kept."""
