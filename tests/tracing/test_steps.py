"""The step driver behaves as `await` does, and counts what each step allocates."""

import asyncio
import contextlib
import gc
import types
import weakref

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leakguard.core.trace import OpenTrace
from leakguard.tracing.gauges import AllocationGauge, BlockSampler
from leakguard.tracing.steps import drive, drive_sampled


class Boom(Exception):
    pass


class Bang(BaseException):
    pass


class Thing:
    """An object that the collector tracks and no free list keeps."""


KINDS = (Boom, Bang, asyncio.CancelledError, GeneratorExit, StopIteration)


@types.coroutine
def ask(value):
    return (yield value)


async def awaited(app, trace):
    await app


async def driven(app, trace):
    await drive(app, trace, AllocationGauge())


async def sampled(app, trace):
    await drive_sampled(app, trace, AllocationGauge(), BlockSampler())


DRIVERS = [pytest.param(driven, id="drive"), pytest.param(sampled, id="drive_sampled")]


def shape(error):
    """Describe an exception with all that hangs on it."""
    if error is None:
        return None
    return (
        type(error).__name__,
        str(error),
        shape(error.__cause__),
        shape(error.__context__),
        error.__suppress_context__,
    )


async def perform(program, log, thrown):
    """Run a program made of nested steps, writing down all that can be seen from inside."""
    for step in program:
        match step:
            case ("yield", value):
                log.append(("got", await ask(value)))
            case ("raise", kind, text):
                raise kind(text)
            case ("return",):
                return
            case ("try", body, answer, handler):
                try:
                    await perform(body, log, thrown)
                except BaseException as error:
                    log.append(("caught", shape(error), any(error is each for each in thrown)))
                    await perform(handler, log, thrown)
                    if answer == "reraise":
                        raise
                    if answer == "replace":
                        raise Boom("instead")  # noqa: B904
                    if answer == "chain":
                        raise Boom("because") from error
                finally:
                    log.append("finally")


def play(driver, program, script):
    """Drive a program by hand, as an event loop would, and return all that both sides saw."""
    log, thrown = [], []
    app = perform(program, log, thrown)
    outer = driver(app, OpenTrace())
    for action, argument in [("send", None), *script, ("close", None)]:
        try:
            if action == "send":
                log.append(("out", outer.send(argument)))
            elif action == "throw":
                thrown.append(argument("thrown"))
                log.append(("out", outer.throw(thrown[-1])))
            else:
                outer.close()
                log.append("closed")
                break
        except BaseException as error:
            log.append(("end", shape(error), any(error is each for each in thrown)))
            break
    put_to_rest(app)
    return log


def put_to_rest(app):
    """Close a coroutine that may go on after `GeneratorExit`, as often as it does."""
    for _ in range(100):
        with contextlib.suppress(BaseException):
            app.close()
            return
    pytest.fail("a program does not come to its end")  # pragma: no cover


leaves = st.one_of(
    st.tuples(st.just("yield"), st.integers(0, 9)),
    st.tuples(st.just("raise"), st.sampled_from([Boom, Bang, ValueError]), st.just("own")),
    st.just(("return",)),
)
programs = st.recursive(
    st.lists(leaves, max_size=4),
    lambda inner: st.lists(
        leaves
        | st.tuples(
            st.just("try"), inner, st.sampled_from(["swallow", "reraise", "replace", "chain"]),
            inner,
        ),
        max_size=4,
    ),
    max_leaves=8,
)  # fmt: skip
scripts = st.lists(
    st.one_of(
        st.tuples(st.just("send"), st.integers(10, 19)),
        st.tuples(st.just("throw"), st.sampled_from(KINDS)),
        st.just(("close", None)),
    ),
    max_size=6,
)


@pytest.mark.parametrize("driver", DRIVERS)
@settings(deadline=None)
@given(program=programs, script=scripts)
def test_driven_coroutine_behaves_as_an_awaited_one(driver, program, script):
    """
    Values, exceptions with their causes and contexts, and endings are those of plain `await`.
    """
    expected = play(awaited, program, script)

    seen = play(driver, program, script)

    assert seen == expected


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("kind", KINDS)
def test_exception_thrown_in_comes_out_as_the_same_object(driver, kind):
    """
    What an event loop throws in, and the application lets pass, is not copied or wrapped.
    """

    async def app():
        await ask(1)

    outer = driver(app(), OpenTrace())
    outer.send(None)
    error = kind("thrown")

    with pytest.raises(BaseException) as caught:
        outer.throw(error)

    expected = RuntimeError if kind is StopIteration else kind
    assert caught.type is expected
    assert caught.value is error or kind is StopIteration
    assert error.__context__ is None


@pytest.mark.parametrize("driver", DRIVERS)
def test_closing_adds_no_context_to_what_the_application_sees(driver):
    """
    A coroutine that is closed sees a `GeneratorExit` without a context, as under plain `await`.
    """
    seen = []

    async def app():
        try:
            await ask(1)
        except GeneratorExit as error:
            seen.append(error.__context__)
            raise

    outer = driver(app(), OpenTrace())
    outer.send(None)

    outer.close()

    assert seen == [None]


@pytest.fixture
def no_gc():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def raising():
    raise Boom("own")


async def passing():
    await ask(1)


async def swallowing():
    try:
        await ask(1)
    except Boom:
        await ask(2)


async def replacing():
    try:
        await ask(1)
    except Boom as error:
        raise Boom("own") from error


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("app", [raising, passing, replacing])
def test_exception_that_escaped_is_kept_by_nobody(driver, app):
    """
    No reference cycle through the driver's frame keeps an exception, or what was thrown in.
    """
    outer = driver(app(), OpenTrace())
    thrown = Boom("thrown")

    try:
        outer.send(None)
        outer.throw(thrown)
    except Boom as error:
        dying = [weakref.ref(error), weakref.ref(thrown)]
    del thrown

    assert [each() for each in dying] == [None, None]


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize("driver", DRIVERS)
def test_swallowed_exception_dies_while_the_application_goes_on(driver):
    """
    A suspended driver holds no exception that the application has dealt with.
    """
    outer = driver(swallowing(), OpenTrace())
    outer.send(None)
    thrown = Boom("thrown")
    dying = weakref.ref(thrown)

    signal = outer.throw(thrown)
    del thrown
    frame_context = dying()

    # The application's own `except` block is still open: it alone may know the exception.
    assert signal == 2
    assert frame_context is not None
    del frame_context
    outer.close()
    assert dying() is None


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize("driver", DRIVERS)
def test_yielded_object_dies_with_its_step(driver):
    """
    What one step waited for is not held during the next.
    """

    class Future:
        pass

    async def app():
        await ask(Future())
        await ask(None)

    outer = driver(app(), OpenTrace())
    waited_for = weakref.ref(outer.send(None))

    outer.send(None)

    assert waited_for() is None
    outer.close()


@pytest.mark.parametrize("driver", DRIVERS)
def test_cancellation_reaches_the_application_and_runs_its_cleanup(driver):
    """
    A cancelled task cleans up, also where that takes further steps, and ends as cancelled.
    """
    seen = []

    async def app():
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(0)
            seen.append("cleaned up")

    async def main():
        task = asyncio.create_task(driver(app(), OpenTrace()))
        await asyncio.sleep(0)
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task
        return task.cancelled()

    assert asyncio.run(main())
    assert seen == ["cleaned up"]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("outside", [True, False], ids=["around", "inside"])
def test_asyncio_timeout_ends_a_request(driver, outside):
    """
    `asyncio.timeout` works inside the application and around it.
    """

    async def app():
        if outside:
            await asyncio.sleep(3600)
        async with asyncio.timeout(0):
            await asyncio.sleep(3600)

    async def main():
        async with asyncio.timeout(0 if outside else None):
            await driver(app(), OpenTrace())

    with pytest.raises(TimeoutError):
        asyncio.run(main())


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_anyio_scopes_work_inside_the_application(driver, backend):
    """
    Cancel scopes and task groups inside a driven application end as without the driver.
    """
    seen = []

    async def app():
        with anyio.move_on_after(0) as scope:
            await anyio.sleep(3600)
        seen.append(scope.cancelled_caught)
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(anyio.sleep, 3600)
                tasks.start_soon(raising)
        except* Boom as caught:
            seen.append([type(each) for each in caught.exceptions])

    anyio.run(driver, app(), OpenTrace(), backend=backend)

    assert seen == [True, [Boom]]


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize("driver", DRIVERS)
@settings(deadline=None)
@given(counts=st.lists(st.integers(0, 50), min_size=1, max_size=5))
def test_objects_that_steps_keep_are_counted_exactly(driver, counts):
    """
    A request that keeps N objects, in however many steps, is charged for N of them.
    """
    kept = [None] * sum(counts)

    async def app():
        place = 0
        for count in counts:
            for _ in range(count):
                kept[place] = Thing()
                place += 1
            await ask(None)

    trace = OpenTrace()
    outer = driver(app(), trace)

    for _ in counts:
        outer.send(None)
        elsewhere = [
            Thing() for _ in range(7)
        ]  # what others allocate between its steps is not its own
    with pytest.raises(StopIteration):
        outer.send(None)

    del elsewhere
    assert trace.objects == sum(counts)
    assert trace.exclusive


@pytest.mark.usefixtures("no_gc")
@pytest.mark.parametrize("driver", DRIVERS)
def test_objects_kept_before_an_exception_are_counted(driver):
    """
    A request that fails is charged for what it keeps, too.
    """
    kept = [None] * 5

    async def app():
        for place in range(5):
            kept[place] = Thing()
        raise Boom("own")

    trace = OpenTrace()

    with pytest.raises(Boom):
        driver(app(), trace).send(None)

    assert trace.objects >= 5


@pytest.mark.usefixtures("no_gc")
def test_blocks_of_the_steps_are_counted():
    """
    A sampled request is charged for the memory blocks that its steps keep, and for no others.
    """
    kept = [None] * 1000

    async def app():
        for place in range(1000):
            kept[place] = object()
        await ask(None)

    trace = OpenTrace()
    outer = sampled(app(), trace)
    outer.send(None)
    elsewhere = [object() for _ in range(5000)]

    with pytest.raises(StopIteration):
        outer.send(None)

    del elsewhere
    assert 1000 <= trace.blocks < 1100


def test_collection_during_a_step_keeps_the_count_right():
    """
    A collection sets CPython's counter back to zero; the gauge makes good for that.
    """
    kept = [None] * 100
    gauge = AllocationGauge()
    gauge.start()

    async def app():
        for place in range(100):
            kept[place] = Thing()
            if place == 50:
                gc.collect()

    trace = OpenTrace()
    trace.collections = gauge.collections
    try:
        with pytest.raises(StopIteration):
            drive(app(), trace, gauge).send(None)
    finally:
        gauge.stop()

    assert trace.objects >= 100
    assert trace.collections != gauge.collections


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("steps", [0, 1], ids=["last step", "earlier step"])
def test_counter_at_zero_is_mistrusted(driver, steps, monkeypatch):
    """
    CPython's counter stops at zero, so that a reading of zero may hide what was freed.
    """

    async def app():
        for _ in range(steps):
            await ask(None)

    monkeypatch.setattr("leakguard.tracing.steps.get_count", lambda: (0, 0, 0))
    trace = OpenTrace()
    outer = driver(app(), trace)

    for _ in range(steps):
        outer.send(None)
    with pytest.raises(StopIteration):
        outer.send(None)

    assert not trace.exclusive
