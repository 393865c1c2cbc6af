"""Examine the heap once: in a forked child, or inline where a fork is unsuitable."""

import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from gc import get_referents
from typing import Any

from ..core.config import WalkMode
from ..core.holding import Examination, HeldGroup, TypeRow
from ..core.site import Site
from ..exceptions import WalkError
from .census import census, deep_size
from .fork import can_fork, run_forked
from .harmless import harmless_if
from .holders import Target, find_holders
from .roots import (
    event_loop_roots,
    frame_roots,
    hidden,
    module_roots,
    own_types,
    server_types,
    timer_lists,
)
from .safe import dotted_type_name, is_code
from .walk import Root, Walker


class _Turn:
    """One walk at a time in a process, however many guards it has."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def take(self, timeout_s: float) -> bool:
        if self._pid != os.getpid():  # the parent's walk is not under way in a child
            self.__init__()  # type: ignore[misc]
        return self._lock.acquire(timeout=timeout_s)

    def give_back(self) -> None:
        self._lock.release()


_turn = _Turn()


@dataclass(frozen=True, slots=True)
class Question:
    """
    What a walk is to find out.

    Attributes:
        targets: Requests whose holders are wanted.
        emitters: Objects whose names are wanted.
        applications: Further roots, named.
        loops: Event loops, as roots.
        census: Count all objects by type, too.
        own: leakguard's stores, whose size is wanted.
    """

    targets: Sequence[Target] = ()
    emitters: Sequence[Any] = ()
    applications: Sequence[Root] = ()
    loops: Sequence[Any] = ()
    census: bool = False
    own: Sequence[Any] = ()


class Examiner:
    """
    Take walks, one at a time.

    Args:
        mode: `fork`, `inline`, `off`, or `auto`.
        deadline_s: Time after which a child is killed.
        inline_budget_s: Time after which an inline walk stops, incomplete.
        headroom: Raises `WalkError` where memory does not suffice for a second process.
    """

    def __init__(
        self,
        *,
        mode: WalkMode,
        deadline_s: float,
        inline_budget_s: float,
        headroom: Callable[[], None],
    ) -> None:
        self.how = ("fork" if can_fork() else "inline") if mode == "auto" else mode
        self._deadline_s = deadline_s
        self._inline_budget_s = inline_budget_s
        self._headroom = headroom

    def examine(self, question: Question) -> Examination:
        """
        Walk the heap and answer *question*.

        Forked, the calling thread waits for the answer while all others go on. Inline, sizes are
        not measured, as measuring runs code of the objects measured.

        Raises:
            WalkError: Walks are off, one is under way, memory does not suffice, or it failed.
        """
        if self.how == "off":
            raise WalkError("off", "walks are switched off: the setting walk is 'off'")
        if self.how == "fork" and not can_fork():
            raise WalkError("refused", f"walk='fork' needs Linux, this is {sys.platform}")
        if not _turn.take(self._deadline_s):
            raise WalkError("busy", "another walk of this process does not come to its end")
        try:
            return self._forked(question) if self.how == "fork" else self._inline(question)
        finally:
            _turn.give_back()

    def _forked(self, question: Question) -> Examination:
        self._headroom()
        frames = sys._current_frames()
        # In the child, `threading` knows of the forking thread only.
        threads = threading.enumerate()

        def let_go() -> None:
            frames.clear()
            threads.clear()

        try:
            outcome = run_forked(
                lambda: _answer(question, frames.values(), threads, None, sized=True),
                deadline_s=self._deadline_s,
                forked=let_go,
            )
        finally:
            let_go()
        return _examination(
            outcome.value, "fork", outcome.pause_s, outcome.duration_s, outcome.cpu_s
        )

    def _inline(self, question: Question) -> Examination:
        begun, begun_cpu = time.perf_counter(), time.thread_time()
        value = _answer(question, (), (), self._inline_budget_s, sized=False)
        took = time.perf_counter() - begun
        return _examination(value, "inline", took, took, time.thread_time() - begun_cpu)


def _answer(
    question: Question,
    frames: Iterable[Any],
    threads: Sequence[Any],
    budget_s: float | None,
    *,
    sized: bool,
) -> dict[str, Any]:
    timers = timer_lists(question.loops)
    walker = Walker(
        [
            *module_roots(),
            *question.applications,
            *event_loop_roots(question.loops),
            *(alive for _, alive, _ in timers),
            Root("threading._active", list(threads)),
        ],
        last_roots=list(frame_roots(frames, harmless=False)),
        harmless_roots=[
            *frame_roots(frames, harmless=True),
            *(cancelled for _, _, cancelled in timers),
        ],
        skip=hidden() | {id(timer_list) for timer_list, _, _ in timers},
        leaves=own_types(),
        harmless=server_types(),
        harmless_if=harmless_if(),
    )
    walk = walker.walk(budget_s=budget_s)
    found = find_holders(walker, walk, question.targets, question.emitters, sized=sized)
    rows: list[Any] = []
    if question.census:
        others = [value for value in walk.objects if not walker.is_leaf(value)]
        rows = census(others) if sized else _counts(others)
    return {
        **found,
        "types": rows,
        "objects": len(walk.objects),
        "complete": walk.complete,
        "own_bytes": deep_size(_stored(question.own)) if sized else None,
    }


def _stored(own: Sequence[Any]) -> list[Any]:
    """Return all that leakguard's stores hold, code and modules left out."""
    seen = hidden() | set(map(id, own))
    stored = list(own)
    for value in stored:
        for each in get_referents(value):
            if id(each) not in seen and not is_code(each):
                seen.add(id(each))
                stored.append(each)
    return stored


def _counts(objects: Sequence[Any]) -> list[Any]:
    # By identity first, as types may not be hashed: that may run code of a metaclass.
    by_type = Counter(id(type(value)) for value in objects)
    kinds = {id(type(value)): type(value) for value in objects}
    by_name: Counter[str] = Counter()
    for key, count in by_type.items():
        by_name[dotted_type_name(kinds[key])] += count
    return [[name, count, None] for name, count in by_name.items()]


def _examination(
    value: dict[str, Any], how: str, pause_s: float, duration_s: float, cpu_s: float
) -> Examination:
    return Examination(
        groups=tuple(_group(each) for each in value["groups"]),
        unreached=tuple(value["unreached"]),
        emitter_names=tuple(value["emitter_names"]),
        types=tuple(TypeRow(*each) for each in value["types"]),
        objects=value["objects"],
        how=how,
        complete=value["complete"],
        own_bytes=value["own_bytes"],
        pause_s=pause_s,
        duration_s=duration_s,
        cpu_s=cpu_s,
    )


def _group(each: dict[str, Any]) -> HeldGroup:
    site = each["site"]
    return HeldGroup(
        serials=tuple(each["serials"]),
        path=tuple(each["path"]),
        holder=each["holder"],
        site=Site(*site) if site else None,
        emitter=each["emitter"],
        harmless=each["harmless"],
        size_bytes=each["size_bytes"],
    )
