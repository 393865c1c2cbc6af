"""Which libraries are followed."""

import importlib.util
import sys
from types import ModuleType, SimpleNamespace

import blinker
import pyee
import pytest

from leakguard.exceptions import ConfigError
from leakguard.instrumentation import libraries as libraries_module
from leakguard.instrumentation.blinker import INSTRUMENTOR as BLINKER
from leakguard.instrumentation.libraries import Libraries
from leakguard.instrumentation.pyee import INSTRUMENTOR as PYEE


@pytest.fixture
def follow(ledger, faults):
    """Return a function that makes libraries of these names."""
    made = []

    def make(*names):
        made.append(Libraries(names, ledger=ledger, faults=faults))
        return made[-1]

    yield make
    for each in made:
        each.detach()


def test_all_imported_libraries_are_followed_by_default(follow, ledger):
    """
    `auto` follows each known library that the service has imported.
    """
    libraries = follow("auto")

    libraries.attach()
    libraries.attach()

    assert libraries.attached == ("blinker", "pyee")
    assert PYEE.ledgers == BLINKER.ledgers == (ledger,)
    assert {pyee.__name__, blinker.__name__} == {"pyee", "blinker"}


def test_named_library_alone_is_followed(follow):
    """
    Named libraries are followed, others are not.
    """
    libraries = follow("pyee")

    libraries.attach()

    assert libraries.attached == ("pyee",)
    assert BLINKER.ledgers == ()


def test_library_that_is_not_imported_is_left_alone(follow, monkeypatch):
    """
    What the service does not use is not imported on its behalf, and followed once it does.
    """
    monkeypatch.delitem(sys.modules, "pyee")
    libraries = follow("auto")

    libraries.attach()
    before = libraries.attached, "pyee" in sys.modules
    monkeypatch.setitem(sys.modules, "pyee", pyee)
    libraries.attach()

    assert before == (("blinker",), False)
    assert libraries.attached == ("blinker", "pyee")


def test_detached_libraries_are_followed_no_more(follow):
    """
    Nothing is left replaced, and detaching twice is harmless.
    """
    libraries = follow("auto")
    libraries.attach()

    libraries.detach()
    libraries.detach()

    assert libraries.attached == ()
    assert PYEE.ledgers == BLINKER.ledgers == ()


def test_unknown_library_is_refused(follow):
    """
    The error says which ones there are.
    """
    with pytest.raises(ConfigError, match="auto, blinker, pyee; got 'spam'"):
        follow("spam")


def test_library_that_is_not_installed_is_refused_with_its_extra(follow, monkeypatch):
    """
    The error says what to install.
    """
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(ConfigError, match=r"pip install 'leakguard-web\[pyee\]'"):
        follow("pyee")


def test_library_that_cannot_be_followed_is_counted(follow, faults, monkeypatch):
    """
    A release that leakguard does not know costs its listeners, not the service.
    """

    def fail(ledger):
        raise AttributeError("no such method")

    module = ModuleType("leakguard.instrumentation.pyee")
    module.INSTRUMENTOR = SimpleNamespace(instrument=fail, uninstrument=lambda ledger: None)
    monkeypatch.setattr(libraries_module.importlib, "import_module", lambda name, package: module)
    libraries = follow("pyee")

    libraries.attach()

    assert faults.counts() == {"instrumentation": 1}
