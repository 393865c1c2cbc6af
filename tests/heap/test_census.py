"""Counts and sizes by type."""

import math
import sys

import pytest

from leakguard.heap.census import census, deep_size


class Plain:
    pass


class Unsized:
    def __sizeof__(self):
        raise RuntimeError("no size")


class Hostile:
    def __getattribute__(self, name):
        raise RuntimeError(name)


def first():
    pass


def second():
    pass


def rows_of(objects):
    return {name: (count, size_bytes) for name, count, size_bytes in census(objects)}


def test_objects_are_counted_by_type():
    """
    Each type has one row with its count and its shallow size.
    """
    rows = rows_of([[1], [2, 3], "text"])

    assert rows["list"] == (2, sys.getsizeof([1]) + sys.getsizeof([2, 3]))
    assert rows["str"] == (1, sys.getsizeof("text"))


def test_functions_and_modules_are_not_told_apart():
    """
    A census has one row for all functions, and one for all modules.
    """
    rows = rows_of([first, second, sys, math])

    assert rows["function"][0] == 2
    assert rows["module"][0] == 2


def test_empty_census_has_no_rows():
    """
    Nothing gives nothing.
    """
    assert census([]) == []
    assert deep_size([]) == 0


def test_batches_are_added_up():
    """
    More objects than one batch holds are still one row.
    """
    rows = rows_of([[] for _ in range(12_000)])

    assert rows == {"list": (12_000, 12_000 * sys.getsizeof([]))}


def test_object_that_cannot_be_sized_does_not_hide_the_others():
    """
    A failing `__sizeof__` costs one object its size, not its batch.
    """
    rows = rows_of([[], Unsized(), []])

    assert rows["list"] == (2, 2 * sys.getsizeof([]))
    assert rows["(could not be sized)"] == (1, 0)


def test_size_is_of_the_objects_alone():
    """
    References are not followed, and each object counts once.
    """
    inner = list(range(1000))
    outer = [inner]

    alone, both, again = deep_size([outer]), deep_size([outer, inner]), deep_size([outer, outer])

    assert alone == again
    assert both - alone == deep_size([inner]) > 8000


@pytest.mark.parametrize("others", [0, 3])
@pytest.mark.parametrize("kind", [Unsized, Hostile])
def test_object_that_cannot_be_sized_does_not_hide_the_size_of_others(kind, others):
    """
    Whatever fails in an object, its batch is measured.
    """
    lists = [[] for _ in range(others)]
    size_bytes = deep_size(lists)

    assert size_bytes <= deep_size([kind(), *lists]) < size_bytes + 1000
