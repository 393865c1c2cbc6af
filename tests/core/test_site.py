"""Places in source code."""

import functools
import json
import sysconfig

import pytest

from leakguard.core.site import Site, is_library, site_of_code, site_of_function


class Shop:
    def buy(self):
        pass


def test_site_reads_as_one_line():
    """
    A site prints as file, line and function.
    """
    assert str(Site("shop.py", 3, "buy", "call")) == "shop.py:3 in buy"


def test_code_is_named_at_its_first_line_or_the_one_given():
    """
    Without a line the first one of the code is taken.
    """
    code = Shop.buy.__code__

    first, other = site_of_code(code, "holder"), site_of_code(code, "call", 99)

    assert first == Site(__file__, code.co_firstlineno, "Shop.buy", "holder")
    assert (other.line, other.how) == (99, "call")


@pytest.mark.parametrize(
    "function",
    [pytest.param(Shop.buy, id="function"), pytest.param(Shop().buy, id="method")],
)
def test_functions_and_methods_have_a_site(function):
    """
    A method is named by its function.
    """
    site = site_of_function(function, "listener")

    assert (site.function, site.how) == ("Shop.buy", "listener")


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(print, id="builtin"),
        pytest.param(functools.partial(Shop.buy), id="partial"),
        pytest.param([].append, id="builtin-method"),
        pytest.param(Shop, id="class"),
    ],
)
def test_other_callables_have_none(function):
    """
    What has no Python code of its own has no site.
    """
    assert site_of_function(function, "listener") is None


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        pytest.param(json.__file__, True, id="standard-library"),
        pytest.param("<frozen importlib._bootstrap>", True, id="frozen"),
        pytest.param(sysconfig.get_path("purelib") + "/x.py", True, id="installed"),
        pytest.param("/opt/dist-packages/x.py", True, id="of-the-system"),
        pytest.param("/srv/shop.py", False, id="service"),
        pytest.param("<string>", False, id="generated"),
    ],
)
def test_libraries_are_told_from_the_service(file, expected):
    """
    Installed packages and the standard library are libraries.
    """
    assert is_library(file) is expected
