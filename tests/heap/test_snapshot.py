"""Censuses kept in memory, and compared."""

import itertools
import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakguard.core.holding import Examination, TypeRow
from leakguard.exceptions import SnapshotNotFoundError
from leakguard.heap.snapshot import REST, Snapshot, SnapshotStore, TypeDiff, snapshot_of

_ids = itertools.count()


def snapshot(rows=(), *, taken_at=1.0, name=None):
    return Snapshot(
        id=name or str(next(_ids)),
        taken_at=taken_at,
        pid=1,
        reason="requested",
        rss_bytes=1,
        objects=1,
        types=tuple(TypeRow(*row) for row in rows),
        how="fork",
        complete=True,
        pause_s=0.0,
        duration_s=0.0,
        cpu_s=0.0,
    )


def examination(rows):
    return Examination(
        groups=(),
        unreached=(),
        emitter_names=(),
        types=tuple(TypeRow(*row) for row in rows),
        objects=7,
        how="inline",
        complete=False,
        own_bytes=None,
        pause_s=0.1,
        duration_s=0.2,
        cpu_s=0.3,
    )


def test_growth_comes_first():
    """
    Rows are ordered by growth in bytes, then in objects, then by name; what is equal has none.
    """
    before = snapshot([("a", 1, 10), ("b", 1, 10), ("c", 5, 50), ("e", 1, 1)])
    now = snapshot([("a", 2, 90), ("b", 1, 10), ("d", 3, 30), ("e", 2, 1), ("f", 1, 0)])

    rows = now.compare_to(before)

    assert rows == (
        TypeDiff("a", 1, 80),
        TypeDiff("d", 3, 30),
        TypeDiff("e", 1, 0),
        TypeDiff("f", 1, 0),
        TypeDiff("c", -5, -50),
    )


def test_size_is_compared_only_where_both_were_measured():
    """
    An inline census has no sizes, and so no difference of sizes.
    """
    (row,) = snapshot([("a", 3, None)]).compare_to(snapshot([("a", 1, 10)]))

    assert row == TypeDiff("a", 2, None)


census = st.dictionaries(
    st.sampled_from("abcdef"), st.tuples(st.integers(1, 9), st.none() | st.integers(0, 99))
).map(lambda rows: snapshot([(name, *row) for name, row in rows.items()]))


@given(census)
def test_equal_snapshots_have_no_difference(one):
    """
    Nothing has changed since the same state.
    """
    assert one.compare_to(replace(one, id="other")) == ()


@given(census, census)
def test_difference_is_mirrored(one, other):
    """
    Backwards the same rows have the opposite signs.
    """
    forth = {(row.type, row.count_diff, row.size_diff) for row in one.compare_to(other)}
    back = {
        (row.type, -row.count_diff, None if row.size_diff is None else -row.size_diff)
        for row in other.compare_to(one)
    }

    assert forth == back


@given(census, census, census)
def test_differences_of_counts_add_up(first, second, third):
    """
    What changed from the first to the third is what changed on the way.
    """

    def counts(new, old):
        return {row.type: row.count_diff for row in new.compare_to(old)}

    step, next_step, both = counts(second, first), counts(third, second), counts(third, first)
    for name in "abcdef":
        assert step.get(name, 0) + next_step.get(name, 0) == both.get(name, 0)


def test_snapshot_has_the_largest_types_first_and_the_rest_summed():
    """
    Beyond the bound types are added up in a last row.
    """
    seen = examination([("a", 1, 10), ("b", 9, 90), ("c", 2, 20), ("d", 5, 5)])

    taken = snapshot_of(seen, reason="requested", rss_bytes=3, max_types=2)

    assert [(row.type, row.count, row.size_bytes) for row in taken.types] == [
        ("b", 9, 90),
        ("c", 2, 20),
        (REST, 6, 15),
    ]
    assert (taken.objects, taken.how, taken.complete, taken.rss_bytes) == (7, "inline", False, 3)


def test_rest_without_sizes_has_none():
    """
    The last row of an inline census has no size either.
    """
    seen = examination([("a", 1, None), ("b", 2, None)])

    taken = snapshot_of(seen, reason="requested", rss_bytes=3, max_types=1)

    assert [(row.type, row.count, row.size_bytes) for row in taken.types] == [
        ("b", 2, None),
        (REST, 1, None),
    ]


def test_snapshots_have_names_of_their_own():
    """
    Two snapshots of one process differ in their ids.
    """
    seen = examination([])

    first = snapshot_of(seen, reason="requested", rss_bytes=0, max_types=1)
    second = snapshot_of(seen, reason="requested", rss_bytes=0, max_types=1)

    assert first.id != second.id
    assert first.types == ()


def test_snapshot_becomes_plain_values():
    """
    A snapshot can be written as JSON.
    """
    plain = json.loads(json.dumps(snapshot([("a", 1, 2)], name="x").to_dict()))

    assert plain["id"] == "x"
    assert plain["types"] == [{"type": "a", "count": 1, "size_bytes": 2}]


@given(bound=st.integers(1, 4), names=st.lists(st.sampled_from("abcdefgh"), unique=True))
def test_store_keeps_the_newest(bound, names):
    """
    The store never holds more than its bound, and drops the oldest first.
    """
    store = SnapshotStore(max_snapshots=bound)

    for name in names:
        store.add(snapshot(name=name))

    assert [each.id for each in store.all()] == names[-bound:]


def test_store_finds_and_drops_by_id():
    """
    A kept snapshot is found by its id until it is dropped.
    """
    store, one = SnapshotStore(max_snapshots=3), snapshot(name="one")
    store.add(one)

    found = store.get("one")
    store.delete("one")

    assert found is one
    assert store.all() == []


@pytest.mark.parametrize(
    ("kept", "message"),
    [pytest.param([], "kept are: none", id="none"), pytest.param(["a", "b"], "a, b", id="some")],
)
def test_unknown_id_is_refused_with_those_kept(kept, message):
    """
    The error says which ids there are, and repeats nothing that was given.
    """
    store = SnapshotStore(max_snapshots=3)
    for name in kept:
        store.add(snapshot(name=name))

    with pytest.raises(SnapshotNotFoundError, match=message) as caught:
        store.get("<script>")
    with pytest.raises(LookupError, match=message):
        store.delete("<script>")

    assert "<script>" not in str(caught.value)


def test_newest_and_the_one_before():
    """
    The store knows its newest snapshot, and the newest that is older than another.
    """
    store = SnapshotStore(max_snapshots=3)
    empty = store.latest()
    first, second, third = (snapshot(taken_at=float(number)) for number in (1, 2, 3))
    for each in (first, second, third):
        store.add(each)

    assert empty is None
    assert store.latest() is third
    assert store.before(third) is second
    assert store.before(first) is None
