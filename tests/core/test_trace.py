"""What is known of one request."""

import asyncio
import contextvars
import weakref

from leakguard.core.trace import CURRENT, Canary, OpenTrace


def test_canary_and_open_trace_can_be_held_weakly():
    """
    Both kinds of canaries die with their last holder.
    """
    canary, trace = Canary(), OpenTrace()
    seen = [weakref.ref(canary), weakref.ref(trace)]

    del canary, trace

    assert [each() for each in seen] == [None, None]


def test_open_trace_starts_from_nothing():
    """
    A new trace has counted nothing, and what it counts stays its own.
    """
    trace, other = OpenTrace(), OpenTrace()

    trace.added += 1
    trace.objects += 5

    assert (other.added, other.objects, other.record) == (0, 0, None)
    assert other.exclusive
    assert other.measured


def test_child_tasks_and_threads_belong_to_the_request():
    """
    The current request is inherited by child tasks and by `to_thread`, and by nobody else.
    """
    trace = OpenTrace()

    async def read():
        return CURRENT.get()

    async def serve():
        CURRENT.set(trace)
        return [await asyncio.create_task(read()), await asyncio.to_thread(CURRENT.get)]

    found = contextvars.copy_context().run(asyncio.run, serve())

    assert found == [trace, trace]
    assert CURRENT.get() is None
