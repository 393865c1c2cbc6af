"""Censuses of the heap, kept in memory and compared with each other."""

import itertools
import os
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..core.fork import give_lock
from ..core.holding import Examination, TypeRow
from ..exceptions import SnapshotNotFoundError

REST = "(other types)"


@dataclass(frozen=True, slots=True)
class TypeDiff:
    """How the number and the size of a type's objects have changed."""

    type: str
    count_diff: int
    size_diff: int | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """
    The heap at one moment, as objects by type.

    Attributes:
        taken_at: Seconds since the epoch.
        types: The largest first; the rest are summed up in a last row.
        pause_s: For how long the service stood still for it.
        duration_s, cpu_s: What it took.
        how: `fork`: sizes are pympler's; `inline`: counts only.
        complete: False if an inline walk ran out of time.
    """

    id: str
    taken_at: float
    pid: int
    reason: str
    rss_bytes: int
    objects: int
    types: tuple[TypeRow, ...]
    how: str
    complete: bool
    pause_s: float
    duration_s: float
    cpu_s: float

    def compare_to(self, older: "Snapshot") -> tuple[TypeDiff, ...]:
        """Return what has changed since *older*, the largest growth first; no row where nothing."""
        before = {row.type: row for row in older.types}
        now = {row.type: row for row in self.types}
        rows = []
        for name in before.keys() | now.keys():
            old, new = before.get(name, _NONE), now.get(name, _NONE)
            count_diff = new.count - old.count
            sized = old.size_bytes is not None and new.size_bytes is not None
            size_diff = (new.size_bytes or 0) - (old.size_bytes or 0) if sized else None
            if count_diff or size_diff:
                rows.append(TypeDiff(name, count_diff, size_diff))
        rows.sort(key=lambda row: (-(row.size_diff or 0), -row.count_diff, row.type))
        return tuple(rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the snapshot as plain values."""
        return asdict(self)


_NONE = TypeRow("", 0, 0)
_numbers = itertools.count(1)


def snapshot_of(seen: Examination, *, reason: str, rss_bytes: int, max_types: int) -> Snapshot:
    """Make a snapshot of an examination that has a census, at most *max_types* rows long."""
    rows = sorted(seen.types, key=lambda row: (-(row.size_bytes or 0), -row.count, row.type))
    kept, rest = rows[:max_types], rows[max_types:]
    if rest:
        sizes = [row.size_bytes for row in rest if row.size_bytes is not None]
        kept.append(TypeRow(REST, sum(row.count for row in rest), sum(sizes) if sizes else None))
    return Snapshot(
        id=f"{os.getpid()}-{next(_numbers)}",
        taken_at=time.time(),
        pid=os.getpid(),
        reason=reason,
        rss_bytes=rss_bytes,
        objects=seen.objects,
        types=tuple(kept),
        how=seen.how,
        complete=seen.complete,
        pause_s=seen.pause_s,
        duration_s=seen.duration_s,
        cpu_s=seen.cpu_s,
    )


class SnapshotStore:
    """
    Keep the latest snapshots of this process.

    Args:
        max_snapshots: Snapshots kept; the oldest is dropped first.
    """

    def __init__(self, *, max_snapshots: int) -> None:
        self._max_snapshots = max_snapshots
        self._snapshots: dict[str, Snapshot] = {}
        self._lock = give_lock(self)

    def add(self, snapshot: Snapshot) -> None:
        """Keep *snapshot*, at the cost of the oldest where there are too many."""
        with self._lock:
            self._snapshots[snapshot.id] = snapshot
            while len(self._snapshots) > self._max_snapshots:
                del self._snapshots[next(iter(self._snapshots))]

    def get(self, name: str) -> Snapshot:
        """
        Return a snapshot by its id.

        Raises:
            SnapshotNotFoundError: There is none with this id.
        """
        snapshot = self._snapshots.get(name)
        if snapshot is None:
            kept = ", ".join(self._snapshots) or "none"
            raise SnapshotNotFoundError(f"no snapshot has this id; kept are: {kept}")
        return snapshot

    def delete(self, name: str) -> None:
        """
        Drop a snapshot.

        Raises:
            SnapshotNotFoundError: There is none with this id.
        """
        with self._lock:
            self.get(name)
            del self._snapshots[name]

    def all(self) -> Sequence[Snapshot]:
        """Return all snapshots, the oldest first."""
        return list(self._snapshots.values())

    def latest(self) -> Snapshot | None:
        """Return the newest snapshot, if there is any."""
        kept = self.all()
        return kept[-1] if kept else None

    def before(self, snapshot: Snapshot) -> Snapshot | None:
        """Return the newest snapshot older than *snapshot*, if there is any."""
        older = [each for each in self.all() if each.taken_at < snapshot.taken_at]
        return older[-1] if older else None
