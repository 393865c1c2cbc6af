"""Work in a forked child that can do the service no harm."""

import contextlib
import ctypes
import gc
import os
import resource
import signal
import sys
import threading
import time
import warnings
from types import SimpleNamespace

import psutil
import pytest

from leakguard.exceptions import WalkError
from leakguard.heap import fork
from leakguard.heap.fork import can_fork, run_forked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks on Linux only")


def descriptors():
    """Return what the descriptors of this process lead to."""
    found = []
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{name}"))
    return sorted(found)


def state():
    """Return what a walk must leave as it is."""
    return {
        "gc": (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()),
        "interval_s": sys.getswitchinterval(),
        "mask": signal.pthread_sigmask(signal.SIG_BLOCK, ()),
        "descriptors": descriptors(),
        "warnings": list(warnings.filters),
        "nice": os.getpriority(os.PRIO_PROCESS, 0),
        "threads": threading.active_count(),
        "children": psutil.Process().children(),
    }


def crash():
    ctypes.string_at(0)


def fail():
    raise KeyError("hush")


def test_answer_comes_back():
    """
    What the child computes is the caller's, with what it cost.
    """
    outcome = run_forked(lambda: {"objects": [1, 2.5, None, "ä"]}, deadline_s=60)

    assert outcome.value == {"objects": [1, 2.5, None, "ä"]}
    assert 0 < outcome.pause_s <= outcome.duration_s
    assert outcome.cpu_s >= 0


def test_answer_may_be_larger_than_a_pipe():
    """
    The parent reads while the child writes.
    """
    outcome = run_forked(lambda: "x" * 3_000_000, deadline_s=60)

    assert len(outcome.value) == 3_000_000


def test_child_works_on_a_copy():
    """
    What the child changes does not change for the parent.
    """
    seen = []

    outcome = run_forked(lambda: [seen.append(1), os.getpid(), len(seen)], deadline_s=60)

    assert outcome.value[1:] != [os.getpid(), 0]
    assert outcome.value[2] == 1
    assert seen == []


@pytest.mark.parametrize(
    "work",
    [
        pytest.param(lambda: 1, id="done"),
        pytest.param(fail, id="failed"),
        pytest.param(os.abort, id="aborted"),
        pytest.param(lambda: time.sleep(600), id="late"),
    ],
)
def test_parent_stays_as_it_is(work):
    """
    Collector, switch interval, signal mask, descriptors, filters and children are as before.
    """
    gc.disable()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    before = state()

    with contextlib.suppress(WalkError):
        run_forked(work, deadline_s=0.5)

    assert state() == before
    assert before["children"] == []


@pytest.mark.parametrize(
    ("work", "message"),
    [
        pytest.param(os.abort, f"ended with -{int(signal.SIGABRT)}", id="abort"),
        pytest.param(crash, f"ended with -{int(signal.SIGSEGV)}", id="segfault"),
        pytest.param(lambda: os._exit(3), "ended with 3", id="exit"),
        pytest.param(fail, "failed: KeyError", id="exception"),
        pytest.param(sys.exit, "failed: SystemExit", id="sys-exit"),
        pytest.param(object, "failed: TypeError", id="no-json"),
    ],
)
def test_crash_of_the_child_is_an_error(work, message):
    """
    However the child ends without an answer, the parent gets one kind of error.
    """
    with pytest.raises(WalkError, match=message) as caught:
        run_forked(work, deadline_s=60)

    assert caught.value.reason == "crashed"
    assert "hush" not in str(caught.value)


def test_child_over_its_deadline_is_killed():
    """
    A child that takes too long is ended, and nothing of it is left.
    """
    with pytest.raises(WalkError, match=r"longer than 0\.3 s") as caught:
        run_forked(lambda: time.sleep(600), deadline_s=0.3)

    assert caught.value.reason == "deadline"
    assert psutil.Process().children() == []


def test_refused_fork_is_an_error_and_leaves_nothing_open(monkeypatch):
    """
    Where the kernel has no room for another process the walk is refused.
    """

    def refuse():
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(fork, "posix", SimpleNamespace(fork=refuse))
    before = state()

    with pytest.raises(WalkError, match="no more processes") as caught:
        run_forked(lambda: 1, deadline_s=60)

    assert caught.value.reason == "refused"
    assert state() == before


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGINT", "SIGCHLD"])
def test_child_does_not_run_the_services_handlers(name):
    """
    A signal that reaches the child does not make it act as the service would.
    """
    number, ran = getattr(signal, name), []
    before = signal.signal(number, lambda *args: ran.append(args))

    def work():
        os.kill(os.getpid(), number)
        for _ in range(1000):
            pass
        return len(ran)

    try:
        outcome = run_forked(work, deadline_s=60)
    finally:
        signal.signal(number, before)

    assert outcome.value == 0


def test_child_has_no_inherited_descriptor():
    """
    Connections that the parent closes must not stay open through the child.
    """
    ours = [*os.pipe(), os.open("/dev/null", os.O_RDONLY)]

    outcome = run_forked(descriptors, deadline_s=60)
    for each in ours:
        os.close(each)

    (only,) = [each for each in outcome.value if "/fd" not in each]
    assert only.startswith("pipe:")


class OldKernel:
    """The C library on a kernel without `close_range`, where `oom_score_adj` is not writable."""

    def __init__(self, libc):
        self._libc = libc

    def syscall(self, *args):
        return -1

    def open(self, *args):
        return -1

    def __getattr__(self, name):
        return getattr(self._libc, name)


def test_child_has_no_inherited_descriptor_on_an_old_kernel(monkeypatch):
    """
    Without `close_range` descriptors are closed one by one.
    """
    monkeypatch.setattr(fork, "_libc", OldKernel(fork._libc))
    ours = os.open("/dev/null", os.O_RDONLY)

    outcome = run_forked(descriptors, deadline_s=60)
    os.close(ours)

    (only,) = [each for each in outcome.value if "/fd" not in each]
    assert only.startswith("pipe:")


def test_child_is_expendable():
    """
    It comes last at the CPU, first at the OOM killer, and leaves no core file.
    """

    def work():
        with open("/proc/self/oom_score_adj") as file:
            score = int(file.read())
        return [os.getpriority(os.PRIO_PROCESS, 0), score, gc.isenabled()]

    outcome = run_forked(work, deadline_s=60)

    assert outcome.value == [19, 1000, False]


def test_child_whose_parent_is_gone_already_ends_at_once(monkeypatch):
    """
    A parent that died before the child could ask to die with it is noticed.
    """
    monkeypatch.setattr(os, "getppid", lambda: 1)

    with pytest.raises(WalkError) as caught:
        run_forked(lambda: 1, deadline_s=60)

    assert caught.value.reason == "crashed"


def wait_until_gone(pid):
    for _ in range(600):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.05)
    return False


def test_child_dies_with_its_parent(script, tmp_path):
    """
    A parent that is killed leaves no walking child behind.
    """
    source = """
import os, sys, threading, time
from pathlib import Path
from leakguard.heap.fork import run_forked

file = Path(sys.argv[1])

def work():
    file.write_text(str(os.getpid()) + " ")
    time.sleep(600)

threading.Thread(target=lambda: run_forked(work, deadline_s=600), daemon=True).start()
while not (file.exists() and file.read_text().endswith(" ")):
    time.sleep(0.01)
os._exit(0)
"""
    file = tmp_path / "pid"

    script(source, str(file))

    assert wait_until_gone(int(file.read_text()))


HOOK = """
import os, sys, threading, time
from leakguard.exceptions import WalkError
from leakguard.heap.fork import run_forked

rounds = [0]

def poll():
    ends = threading.Event()
    while not ends.wait(0.001):
        rounds[0] += 1

def hook():
    threading.Thread(target=poll, daemon=True).start()

def work():
    begun, before = time.process_time(), rounds[0]
    while time.process_time() - begun < 0.3:
        pass
    return rounds[0] - before

os.register_at_fork(after_in_child=hook)
try:
    print(run_forked(work, deadline_s=10).value)
except WalkError as error:
    print(error.reason)
"""


def test_thread_that_a_hook_starts_in_the_child_does_not_run(script):
    """
    Exporters restart their threads after a fork; during the walk these get no turn.
    """
    assert script(HOOK) == "0"


def test_result_is_right_where_the_service_ignores_its_children():
    """
    With SIGCHLD ignored the kernel reaps the child before leakguard can.
    """
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)

    try:
        outcome = run_forked(lambda: "done", deadline_s=60)
    finally:
        signal.signal(signal.SIGCHLD, before)

    assert (outcome.value, outcome.cpu_s) == ("done", 0.0)


def test_result_is_right_where_somebody_else_reaps():
    """
    A service that waits for any child may be first.
    """
    before = signal.signal(signal.SIGCHLD, lambda *args: os.waitpid(-1, os.WNOHANG))

    try:
        outcome = run_forked(lambda: "done", deadline_s=60)
    finally:
        signal.signal(signal.SIGCHLD, before)

    assert outcome.value == "done"


class Interrupt(TimeoutError):
    """What the service's handler raises: an `OSError`, as time-outs are."""


@pytest.fixture
def interrupting():
    """Let SIGUSR1 raise, as SIGINT and a server's time-out do."""

    def handler(*args):
        raise Interrupt

    before = signal.signal(signal.SIGUSR1, handler)
    yield
    signal.signal(signal.SIGUSR1, before)
    for child in psutil.Process().children():
        child.kill()
        child.wait()


def test_signal_during_the_fork_leaves_nothing_behind(interrupting, monkeypatch):
    """
    A handler that raises once signals are let through again leaks no descriptor and no child.
    """
    real = os.fork

    def interrupted():
        signal.pthread_kill(threading.get_ident(), signal.SIGUSR1)
        return real()

    monkeypatch.setattr(fork, "posix", SimpleNamespace(fork=interrupted))
    before = state()

    with pytest.raises(Interrupt):
        run_forked(lambda: 1, deadline_s=60)

    assert state() == before


def test_signal_during_the_walk_ends_the_child(interrupting, tmp_path):
    """
    A handler that raises while the parent waits does not wait for the child to finish.
    """
    started, finished = tmp_path / "started", tmp_path / "finished"
    caller = threading.get_ident()

    def work():
        started.write_text("x")
        time.sleep(3)
        finished.write_text("x")

    def interrupt():
        while not started.exists():
            time.sleep(0.01)
        signal.pthread_kill(caller, signal.SIGUSR1)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(Interrupt):
        run_forked(work, deadline_s=60)
    thread.join()

    assert not finished.exists()
    assert psutil.Process().children() == []


def test_limit_of_cpu_time_below_the_deadline_is_no_crash(script):
    """
    A service that has a hard limit of CPU time already may not raise it, and need not.
    """
    source = """
import os, resource
from leakguard.heap.fork import run_forked

resource.setrlimit(resource.RLIMIT_CPU, (30, 30))
if os.getuid() == 0:
    os.setuid(65534)
print(run_forked(lambda: 5, deadline_s=60).value)
"""
    assert script(source) == "5"


def test_lower_limit_of_cpu_time_stays(monkeypatch):
    """
    A limit that is tighter already is left as it is.
    """
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (30, 30))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: asked.append([kind, *limits]))
    asked = []

    outcome = run_forked(lambda: asked, deadline_s=60)

    assert outcome.value == [[resource.RLIMIT_CORE, 0, 0]]


def test_writing_stops_when_nobody_reads():
    """
    A child whose parent has stopped reading gives up.
    """
    read_end, write_end = os.pipe()

    fork._write_all(write_end, b"first")
    got = os.read(read_end, 100)
    os.close(read_end)
    fork._write_all(write_end, b"second")
    os.close(write_end)

    assert got == b"first"


def test_killing_what_is_gone_is_harmless():
    """
    The child may have ended in the meantime.
    """
    outcome = run_forked(os.getpid, deadline_s=60)

    assert fork._kill(outcome.value) is None


@pytest.mark.parametrize(
    ("platform", "expected"),
    [pytest.param("linux", True, id="linux"), pytest.param("darwin", False, id="macos")],
)
def test_forking_is_for_linux(platform, expected, monkeypatch):
    """
    System libraries of macOS crash in a forked child.
    """
    monkeypatch.setattr(sys, "platform", platform)

    assert can_fork() is expected
