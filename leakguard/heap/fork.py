"""Run a piece of work in a forked child that can do the service no harm."""

import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from ..exceptions import WalkError

_PR_SET_PDEATHSIG = 1
_SYS_CLOSE_RANGE = 436
_CHUNK_BYTES = 1 << 16

try:
    import posix
    import resource

    # Calls through PyDLL keep the GIL. The child must not give it up: a thread that another
    # library's at-fork hook has started there would begin to run, and do its work twice.
    _libc: Any = ctypes.PyDLL(None)
    _libc.syscall.argtypes = (ctypes.c_long, ctypes.c_uint, ctypes.c_uint, ctypes.c_uint)
    _libc.write.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t)
    _libc.write.restype = ctypes.c_ssize_t
except (ImportError, OSError, TypeError):  # pragma: no cover - Windows
    _libc = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a child found, and what finding it cost."""

    value: Any
    pause_s: float
    duration_s: float
    cpu_s: float


def can_fork() -> bool:
    """Tell whether forking is safe: on Linux only, as macOS's system libraries crash after one."""
    return sys.platform == "linux" and _libc is not None


def run_forked(
    work: Callable[[], Any], *, deadline_s: float, forked: Callable[[], None] = lambda: None
) -> Outcome:
    """
    Fork, let the child compute `work()`, and return its answer, which must be JSON.

    The calling thread waits. All others go on, but for the `fork()` itself (`pause_s`).

    Args:
        work: Called in the child.
        deadline_s: Time after which the child is killed.
        forked: Called in the parent right after the fork, to let go of what only *work* needs.

    Raises:
        WalkError: The fork was refused, the child crashed or failed, or it took longer than
            *deadline_s* and was killed.
    """
    read_end, write_end = os.pipe()
    born: list[int] = []
    text = None
    begun = time.perf_counter()
    try:
        try:
            _fork(work, write_end, deadline_s, born)
        finally:
            os.close(write_end)
        pause_s = time.perf_counter() - begun
        forked()
        text = _read_to_end(read_end, begun + deadline_s)
    finally:
        os.close(read_end)
        for child in born:
            if text is None:
                _kill(child)
            status, cpu_s = _reap(child)
    if text is None:
        raise WalkError("deadline", f"the walk took longer than {deadline_s:g} s and was ended")
    return Outcome(_parsed(text, status), pause_s, time.perf_counter() - begun, cpu_s)


def _fork(work: Callable[[], Any], write_end: int, deadline_s: float, born: list[int]) -> None:
    """Fork; write the child down in *born* before a signal can interrupt the caller."""
    parent = os.getpid()
    # Signals stay blocked in the child: it must not run the service's handlers.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        # Not `os.fork`: gevent replaces that one, and would reap the child before us.
        try:
            child = posix.fork()
        except (OSError, RuntimeError) as error:
            raise WalkError("refused", f"fork was refused: {error}") from error
        if child == 0:
            _serve(work, write_end, parent, deadline_s)
        born.append(child)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _read_to_end(read_end: int, deadline: float) -> bytes | None:
    """Return all that the child writes, or `None` if it is not done by *deadline*."""
    poll = select.poll()
    poll.register(read_end, select.POLLIN)
    chunks: list[bytes] = []
    while (left_s := deadline - time.perf_counter()) > 0:
        if poll.poll(left_s * 1000):
            chunk = os.read(read_end, _CHUNK_BYTES)
            if not chunk:
                return b"".join(chunks)
            chunks.append(chunk)
    return None


def _kill(child: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def _reap(child: int) -> tuple[int, float]:
    """Return the child's exit status and the CPU time it used."""
    try:
        _, status, usage = os.wait4(child, 0)
    except ChildProcessError:  # the service waits for any child, and was first
        return 0, 0.0
    return status, usage.ru_utime + usage.ru_stime


def _parsed(text: bytes, status: int) -> Any:
    try:
        answer = json.loads(text)
    except ValueError:
        code = os.waitstatus_to_exitcode(status)
        raise WalkError("crashed", f"the walking child ended with {code}") from None
    if "error" in answer:
        raise WalkError("crashed", f"the walking child failed: {answer['error']}")
    return answer["value"]


def _serve(
    work: Callable[[], Any], write_end: int, parent: int, deadline_s: float
) -> NoReturn:  # pragma: no cover - in the child, untraced
    """Be the child: compute, write the answer, and exit without any of Python's clean-up."""
    try:
        gc.disable()
        sys.setswitchinterval(3600)
        # A debugger, profiler or coverage tool of the service's has nothing to see here.
        sys.settrace(None)
        sys.setprofile(None)
        # A connection that the parent closes must not stay open to its client through the child.
        _close_all_but(write_end)
        _be_expendable(parent, deadline_s)
        try:
            answer = json.dumps({"value": work()})
        except BaseException as error:
            answer = json.dumps({"error": type(error).__name__})
        _write_all(write_end, answer.encode())
    finally:
        os._exit(0)


def _close_all_but(kept: int) -> None:  # pragma: no cover - in the child, untraced
    failed = _libc.syscall(_SYS_CLOSE_RANGE, kept + 1, 0xFFFFFFFF, 0) < 0
    # Of a pipe the end to write to has the higher number, so it is never 0.
    failed |= _libc.syscall(_SYS_CLOSE_RANGE, 0, kept - 1, 0) < 0
    if failed:  # a kernel before 5.9
        for descriptor in range(os.sysconf("SC_OPEN_MAX")):
            if descriptor != kept:
                _libc.close(descriptor)


def _be_expendable(
    parent: int, deadline_s: float
) -> None:  # pragma: no cover - in the child, untraced
    """Come last at the CPU, first at the OOM killer, and die with the parent or at the deadline."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(0)
    cpu_s, hard = int(deadline_s) + 1, resource.getrlimit(resource.RLIMIT_CPU)[1]
    if hard == resource.RLIM_INFINITY or cpu_s < hard:
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.nice(19)
    score = _libc.open(b"/proc/self/oom_score_adj", os.O_WRONLY)
    if score >= 0:
        _libc.write(score, b"1000", 4)
        _libc.close(score)


def _write_all(write_end: int, data: bytes) -> None:  # pragma: no cover - in the child, untraced
    while data:
        written = _libc.write(write_end, data, len(data))
        if written <= 0:
            return
        data = data[written:]
