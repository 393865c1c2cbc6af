"""What holds requests and does no harm."""

import asyncio
import sys
from types import ModuleType

import pytest

from leakguard.heap.harmless import harmless_if, is_cancelled, is_server, package


def class_of(module):
    """Return a class that says it is from a module, and the globals of code of that module."""
    space = {"__name__": module, "asyncio": asyncio}
    exec(
        "class Protocol:\n"
        "    def close(self): pass\n"
        "async def serve():\n"
        "    await asyncio.sleep(3600)\n"
        "async def waits_for():\n"
        "    await asyncio.wait_for(asyncio.Event().wait(), 3600)\n"
        "async def times_out():\n"
        "    async with asyncio.timeout(3600):\n"
        "        await asyncio.Event().wait()\n",
        space,
    )
    return space["Protocol"], space


@pytest.mark.parametrize(
    ("module", "top", "server"),
    [
        pytest.param("uvicorn.protocols.http", "uvicorn", True, id="server"),
        pytest.param("shop.uvicorn", "shop", False, id="service"),
        pytest.param("uvicornish", "uvicornish", False, id="similar"),
        pytest.param(None, "", False, id="no-name"),
    ],
)
def test_servers_are_told_by_their_package(module, top, server):
    """
    The top-level package of a module decides.
    """
    assert package(module) == top
    assert is_server(module) is server


@pytest.mark.parametrize(
    ("module", "expected"),
    [pytest.param("uvicorn.http", True, id="server"), pytest.param("shop", False, id="service")],
)
def test_timer_that_calls_a_server_is_harmless(module, expected):
    """
    A server's keep-alive timer remembers the context of a request, and may.
    """
    protocol, _ = class_of(module)
    loop = asyncio.new_event_loop()
    handle = loop.call_later(3600, protocol().close)
    other = loop.call_later(3600, print)

    judge = harmless_if()[id(type(handle))]
    found = judge(handle), judge(other)
    handle.cancel()
    loop.close()

    assert found == (expected, False)


@pytest.mark.parametrize(
    ("module", "expected"),
    [pytest.param("uvicorn.http", True, id="server"), pytest.param("shop", False, id="service")],
)
def test_task_that_runs_a_server_is_harmless(module, expected):
    """
    A task is judged by the module of its coroutine, before and while it runs.
    """
    serve = class_of(module)[1]["serve"]

    async def judge():
        task = asyncio.create_task(serve())
        judge_task = harmless_if()[id(type(task))]
        found = [judge_task(task)]
        await asyncio.sleep(0)
        found.append(judge_task(task))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return [*found, judge_task(task)]

    assert asyncio.run(judge()) == [expected, expected, False]


@pytest.mark.parametrize(
    ("module", "expected"),
    [pytest.param("uvicorn.http", True, id="server"), pytest.param("shop", False, id="service")],
)
@pytest.mark.parametrize("name", ["waits_for", "times_out"])
def test_timer_that_wakes_a_task_is_judged_by_the_task(name, module, expected):
    """
    Between a timer and the task that waits stand a future or a timeout.
    """
    wait = class_of(module)[1][name]

    async def judge():
        loop = asyncio.get_running_loop()
        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        (handle,) = loop._scheduled
        found = harmless_if()[id(type(handle))](handle)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return found

    assert asyncio.run(judge()) is expected


def test_uvloops_handles_are_judged_where_it_is_loaded(monkeypatch):
    """
    uvloop has handles of its own, which are known only where the service uses it.
    """
    module = ModuleType("uvloop.loop")
    module.Handle = type("Handle", (), {})
    monkeypatch.setitem(sys.modules, "uvloop.loop", module)

    found = harmless_if()

    assert id(module.Handle) in found
    assert len(found) == 4


def test_without_uvloop_there_are_asyncios_only(monkeypatch):
    """
    What is not loaded is not imported.
    """
    monkeypatch.delitem(sys.modules, "uvloop.loop", raising=False)

    found = harmless_if()

    assert set(found) == {id(asyncio.Handle), id(asyncio.TimerHandle), id(asyncio.Task)}
    assert "uvloop.loop" not in sys.modules


def test_cancelled_handles_are_told():
    """
    A handle says whether it is cancelled; other objects are not.
    """
    loop = asyncio.new_event_loop()
    due, cancelled = loop.call_later(3600, print), loop.call_later(3600, print)
    cancelled.cancel()

    found = [is_cancelled(each) for each in (due, cancelled, object())]
    due.cancel()
    loop.close()

    assert found == [False, True, False]
