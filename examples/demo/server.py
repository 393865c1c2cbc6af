"""A running example, and how to ask it for its report."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import httpx

from .plan import HOST, Example

START_LIMIT_S = 10.0
STOP_LIMIT_S = 4.0
REQUEST_TIMEOUT_S = 10.0
SETTINGS = {
    # A look each second, so that seconds show what takes minutes in production.
    "LEAKGUARD_INTERVAL_S": "1",
    "LEAKGUARD_CPU_BUDGET": "1",
}

Row = dict[str, Any]


class DemoError(Exception):
    """The demo cannot go on; the message says why."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running example, and how to ask it for its report."""

    url: str
    token: str
    process: subprocess.Popen[bytes]
    log: IO[bytes]

    def report(self) -> Row:
        """
        Return what `/debug/memory` answers.

        Raises:
            DemoError: It does not answer, or not with a report.
        """
        try:
            answer = httpx.get(
                f"{self.url}/debug/memory",
                headers={"Authorization": f"Bearer {self.token}"},
                timeout=REQUEST_TIMEOUT_S,
                trust_env=False,
            )
            answer.raise_for_status()
        except httpx.HTTPError as error:
            raise DemoError(f"no report from {self.url}/debug/memory: {error}") from error
        return answer.json()

    def require_alive(self) -> None:
        code = self.process.poll()
        if code is not None:
            raise DemoError(f"the server has ended by itself, with exit code {code}")

    def last_lines(self, count: int = 15) -> str:
        self.log.seek(0)
        return b"\n".join(self.log.read().splitlines()[-count:]).decode(errors="replace")


@contextmanager
def running(example: Example) -> Iterator[Server]:
    """Serve *example* on a free port, and end the server however the block ends."""
    port = free_port()
    token = os.environ.get("LEAKGUARD_TOKEN") or secrets.token_urlsafe(24)
    command = [sys.executable, "-m", *(word.format(port=port) for word in example.command)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            env={**os.environ, **SETTINGS, "LEAKGUARD_TOKEN": token},
            cwd=Path(__file__).parents[2],
            stdout=log,
            stderr=log,
            # Ctrl-C in the terminal is for the demo, which then ends the server in its own way.
            start_new_session=True,
        )
        try:
            yield Server(f"http://{HOST}:{port}", token, process, log)
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End the server gently, and after a while by force, with all its workers."""
    process.terminate()
    try:
        process.wait(STOP_LIMIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def wait_until_up(server: Server) -> None:
    """
    Wait for the first answer.

    Raises:
        DemoError: The server ended, or does not answer in time.
    """
    end = time.monotonic() + START_LIMIT_S
    while time.monotonic() < end:
        server.require_alive()
        try:
            httpx.get(server.url, timeout=REQUEST_TIMEOUT_S, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise DemoError(f"the server does not answer within {START_LIMIT_S:.0f} s")
