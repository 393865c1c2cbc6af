"""What the package shows, and what importing it does not do."""

import importlib.resources
import inspect
import subprocess
import sys

import leakguard

IMPORTED = """
import gc, logging, signal, sys, threading
import blinker, pyee, structlog

def state():
    kinds = (pyee.EventEmitter, blinker.Signal, threading.Thread, logging.Logger)
    return (
        threading.active_count(), list(gc.callbacks), gc.get_threshold(), gc.get_debug(),
        [dict(vars(kind)) for kind in kinds], list(logging.root.handlers),
        structlog.is_configured(), sys.getswitchinterval(), sys.gettrace(), sys.excepthook,
        [signal.getsignal(each) for each in signal.valid_signals()],
    )

before = state()
import leakguard
assert state() == before, "import has a side effect"
assert not {"flask", "fastapi", "django", "quart", "litestar"} & set(sys.modules)
"""


def test_all_is_sorted_complete_and_true():
    """
    `__all__` is sorted, every name in it is there, and nothing else of leakguard's own is shown.
    """
    shown = {
        name
        for name, value in vars(leakguard).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }

    assert leakguard.__all__ == sorted(leakguard.__all__)
    assert set(leakguard.__all__) == shown


def test_everything_public_is_documented():
    """
    Each public name has a docstring, and so has each public method of its own.
    """
    for name in leakguard.__all__:
        value = getattr(leakguard, name)
        assert inspect.getdoc(value), name
        for method, function in vars(value).items():
            if inspect.isfunction(function) and not method.startswith("_"):
                assert inspect.getdoc(function), f"{name}.{method}"


def test_errors_are_of_one_family():
    """
    Every public error can be caught as `LeakGuardError`, and as what callers expect.
    """
    expected = {
        leakguard.ConfigError: ValueError,
        leakguard.InstallError: TypeError,
        leakguard.WatchError: TypeError,
        leakguard.WalkError: RuntimeError,
        leakguard.SnapshotNotFoundError: LookupError,
    }

    shown = {getattr(leakguard, name) for name in leakguard.__all__ if name.endswith("Error")}

    assert shown == {leakguard.LeakGuardError, *expected}
    for kind, base in expected.items():
        assert issubclass(kind, leakguard.LeakGuardError)
        assert issubclass(kind, base)


def test_import_has_no_side_effect():
    """
    Importing starts no thread, replaces nothing, configures no log, and follows no collection.
    """
    seen = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True)

    assert (seen.returncode, seen.stderr) == (0, "")


def test_types_are_shipped():
    """
    The package says that its annotations can be relied on.
    """
    assert importlib.resources.files(leakguard).joinpath("py.typed").is_file()
