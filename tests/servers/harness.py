"""Real servers in processes of their own, and clients that talk to them over sockets."""

import contextlib
import http.client
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

HERE = Path(__file__).parent
BIN = Path(sys.executable).parent
TOKEN = "a-token-of-the-tests"
HOST = "127.0.0.1"
PATIENCE_S = 60.0
LOGIN = {"Authorization": f"Bearer {TOKEN}"}


@dataclass(frozen=True)
class ServerKind:
    """
    How a server is started.

    `command` is formatted with the port and the application. `needs` are modules without which it
    cannot run; `tool` is a program in their place. `keeps_alive` is false for one that closes
    connections without saying so before.
    """

    name: str
    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    workers: int = 1
    tool: str | None = None
    keeps_alive: bool = True

    def __str__(self) -> str:
        return self.name

    @property
    def all_needs(self) -> tuple[str, ...]:
        """Return what must be installed, a program as its path."""
        return self.needs if self.tool is None else (*self.needs, str(BIN / self.tool))


def why_missing(*needs: str) -> str | None:
    """Return which of the modules, or programs beside this Python, is not installed, if any."""
    for name in needs:
        if name.startswith("/"):
            if not Path(name).exists():
                return f"{name} is not installed"
            continue
        package = name.partition(".")[0]
        for each in dict.fromkeys((package, name)):
            if importlib.util.find_spec(each) is None:
                return f"{each} is not installed"
    return None


def skip_without(*needs: str) -> None:
    """Skip the test where one of *needs* is not installed."""
    reason = why_missing(*needs)
    if reason is not None:
        pytest.skip(reason)


def _uvicorn(http_: str, loop: str) -> ServerKind:
    return ServerKind(
        f"uvicorn-{http_}-{loop}",
        (sys.executable, "-m", "uvicorn", "{app}", "--host", HOST, "--port", "{port}",
         "--http", http_, "--loop", loop, "--no-access-log", "--timeout-keep-alive", "60"),
        needs=tuple(
            each for each in ("uvicorn", http_, loop) if each not in ("asyncio",)
        ),
    )  # fmt: skip


def _gunicorn(
    name: str, *options: str, needs: tuple[str, ...] = (), workers: int = 2
) -> ServerKind:
    return ServerKind(
        f"gunicorn-{name}",
        # No server closes a connection while a client still means to use it.
        (sys.executable, "-m", "gunicorn", "{app}", "--bind", f"{HOST}:{{port}}",
         "--keep-alive", "60", "--workers", str(workers), *options),
        needs=("gunicorn", *needs),
        workers=workers,
    )  # fmt: skip


UVICORN = _uvicorn("httptools", "uvloop")
ASGI_SERVERS = {
    each.name: each
    for each in (
        UVICORN,
        _uvicorn("httptools", "asyncio"),
        _uvicorn("h11", "uvloop"),
        _uvicorn("h11", "asyncio"),
        ServerKind(
            "hypercorn",
            (sys.executable, "-m", "hypercorn", "{app}", "--bind", f"{HOST}:{{port}}",
             "--keep-alive", "60"),
            needs=("hypercorn",),
        ),
        _gunicorn("uvicorn", "--worker-class", "uvicorn.workers.UvicornWorker",
                  needs=("uvicorn.workers",)),
        _gunicorn("asgi", "--worker-class", "asgi", needs=("gunicorn.workers.gasgi",)),
    )
}  # fmt: skip
WSGI_SERVERS = {
    each.name: each
    for each in (
        _gunicorn("sync", "--worker-class", "sync"),
        _gunicorn("sync-preload", "--worker-class", "sync", "--preload"),
        _gunicorn("gthread", "--worker-class", "gthread", "--threads", "8"),
        _gunicorn("gthread-preload", "--worker-class", "gthread", "--threads", "8", "--preload"),
        _gunicorn("gevent", "--worker-class", "gevent", needs=("gevent",)),
        ServerKind(
            "waitress",
            (sys.executable, "-m", "waitress", "--host", HOST, "--port", "{port}",
             "--threads", "8", "{app}"),
            needs=("waitress",),
        ),
        ServerKind(
            "wsgiref",
            (sys.executable, str(HERE / "serve_wsgiref.py"), "{app}", "{port}"),
        ),
        ServerKind(
            "uwsgi",
            (str(BIN / "uwsgi"), "--http-socket", f"{HOST}:{{port}}", "--home", sys.prefix,
             "--module", "{app}", "--master", "--processes", "2", "--enable-threads",
             "--die-on-term", "--need-app", "--pythonpath", str(HERE), "--disable-logging"),
            tool="uwsgi",
            keeps_alive=False,
            workers=2,
        ),
    )
}  # fmt: skip


class RunningServer:
    """
    A server under test, in a process group of its own.

    Args:
        kind: What to start.
        app: `module:name`, or `module:name()` for a factory.
        directory: Where its log goes.
        environ: Variables beside the machine's own.
    """

    def __init__(
        self, kind: ServerKind, app: str, directory: Path, environ: dict[str, str] | None = None
    ) -> None:
        self.kind = kind
        self.app = app
        self.port = _free_port()
        self.url = f"http://{HOST}:{self.port}"
        self._log = Path(tempfile.mkstemp(dir=directory, suffix=f"-{kind}.log")[1])
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("LEAKGUARD_")
        }
        variables = {
            **inherited, "PYTHONPATH": str(HERE), "PYTHONUNBUFFERED": "1",
            # Some write to the home directory; some send headers in the order of a set.
            "HOME": str(directory), "PYTHONHASHSEED": "0", **(environ or {}),
        }  # fmt: skip
        command = [each.format(app=app, port=self.port) for each in kind.command]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                env=variables, cwd=directory, start_new_session=True,
            )  # fmt: skip
        try:
            self._wait_until_ready()
        except BaseException:
            print(self.log())
            self.stop()
            raise

    def log(self) -> str:
        """Return what the server has printed so far."""
        return self._log.read_text(errors="replace")

    def family(self) -> list[psutil.Process]:
        """Return the server's processes, its walking children included."""
        try:
            main = psutil.Process(self.process.pid)
            return [main, *main.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def stop(self) -> None:
        """End the server and all that it has started."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def _wait_until_ready(self) -> None:
        def ready() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.kind} ended with {self.process.returncode}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self.get("/ready")[0] == 200
            return False

        wait_until(ready, "the server answers")

    def get(
        self, path: str, *, method: str = "GET", headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """Send one request over a connection of its own; return status, headers and body."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=PATIENCE_S)
        try:
            connection.request(method, path, headers={"Connection": "close", **(headers or {})})
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return response.status, found, response.read()
        finally:
            connection.close()

    def debug(self, path: str = "/debug/memory") -> Any:
        """Return a debug document of one of the server's processes."""
        status, _, body = self.get(path, headers=LOGIN)
        assert status == 200, body
        return json.loads(body)

    def reports(self) -> dict[int, Any]:
        """Return a report of each of the server's workers, by process id."""
        found: dict[int, Any] = {}

        def all_seen() -> bool:
            # At the same time, so that one worker cannot take them all.
            with ThreadPoolExecutor(2 * self.kind.workers) as pool:
                for report in pool.map(lambda _: self.debug(), range(2 * self.kind.workers)):
                    found[report["process"]["pid"]] = report
            return len(found) >= self.kind.workers

        if self.kind.workers == 1:
            report = self.debug()
            return {report["process"]["pid"]: report}
        wait_until(all_seen, f"each of {self.kind.workers} workers has answered")
        return found

    def after_passes(self, passes: int) -> dict[int, Any]:
        """Return reports that every worker that has had traffic gives after further passes."""
        before = {
            pid: each["overhead"]["passes"]
            for pid, each in self.reports().items()
            if each["overhead"]["monitor"]
        }
        reports: dict[int, Any] = {}

        def passed() -> bool:
            time.sleep(0.1)
            reports.update(self.reports())
            return all(
                reports[pid]["overhead"]["passes"] >= count + passes
                for pid, count in before.items()
            )

        wait_until(passed, f"{passes} more passes")
        return reports


def wait_until(holds: Callable[[], bool], what: str, *, patience_s: float = PATIENCE_S) -> None:
    """Ask again and again until it *holds*."""
    deadline = time.monotonic() + patience_s
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {patience_s:g} s until {what}")
        time.sleep(0.02)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
