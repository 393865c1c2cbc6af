"""Drive an application's coroutine step by step, so that what a step allocates is its own."""

from collections.abc import Coroutine, Generator
from gc import get_count
from sys import _getframe
from types import coroutine
from typing import Any

from ..core.trace import OpenTrace
from .gauges import AllocationGauge, BlockSampler


@coroutine
def drive(
    app: Coroutine[Any, Any, None], trace: OpenTrace, gauge: AllocationGauge
) -> Generator[Any, Any, None]:
    """
    Await *app* as `await` itself would (PEP 380), reading *gauge* around each of its steps.

    An event loop runs one task at a time, so between two reads only this request allocates,
    unless another thread takes over.
    """
    # The end of the coroutine makes an object of this frame, which must not count as the request's:
    # so it is made now.
    _getframe()
    advance: Any = app.send
    value: Any = None
    signal: Any = None
    closing: Any = None
    while True:
        before = gauge.base + get_count()[0]
        try:
            signal = advance(value)
        except StopIteration:
            break
        except BaseException:
            trace.objects += gauge.base + get_count()[0] - before
            raise
        finally:
            # An exception thrown in must not be held by this frame, which its traceback holds.
            value = None
        count = get_count()[0]
        trace.objects += gauge.base + count - before
        if not count:
            trace.exclusive = False
        try:
            value = yield signal
            advance = app.send
        except GeneratorExit as error:
            closing = error
        except BaseException as error:
            advance, value = app.throw, error
        signal = None
        if closing is not None:
            # Not in the `except` block: it would show as the context of the application's errors.
            try:
                app.close()
                raise closing
            finally:
                closing = None
    # Read only here, where the end of the step has let go of its frame.
    count = get_count()[0]
    trace.objects += gauge.base + count - before
    if not count:
        trace.exclusive = False


@coroutine
def drive_sampled(
    app: Coroutine[Any, Any, None],
    trace: OpenTrace,
    gauge: AllocationGauge,
    sampler: BlockSampler,
) -> Generator[Any, Any, None]:
    """Await *app* as `drive` does, and count the memory blocks of each of its steps as well."""
    driven = drive(app, trace, gauge)
    advance: Any = driven.send
    value: Any = None
    signal: Any = None
    closing: Any = None
    trace.blocks = 0
    while True:
        before = sampler.read()
        try:
            signal = advance(value)
        except StopIteration:
            break
        finally:
            trace.blocks += sampler.read() - before
            value = None
        try:
            value = yield signal
            advance = driven.send
        except GeneratorExit as error:
            closing = error
        except BaseException as error:
            advance, value = driven.throw, error
        signal = None
        if closing is not None:
            # Not in the `except` block: it would show as the context of the application's errors.
            try:
                driven.close()
                raise closing
            finally:
                closing = None
