"""Who may read the debug endpoints."""

import hmac
import inspect
import ipaddress
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..core.config import Authorize, Secret
from ..core.fork import give_lock
from ..types import Clock
from .problems import problem

WINDOW_S = 60.0
_MAX_ADDRESSES = 1000
_CHALLENGE = 'Bearer realm="leakguard"'

Await = Callable[[Awaitable[Any]], Awaitable[Any]]


class Gate:
    """
    Let a request pass, or answer it.

    An address outside of *allow* gets 403, one with too many failures in a minute 429, a request
    with no valid token 401. Where an authorizer is set, too, either of both is enough.

    Args:
        tokens: Bearer tokens, compared in constant time.
        authorize: Sync or async callable that gets the request.
        allow: Networks; empty for any.
        max_failures: Failures from one address in a minute before it has to wait, even with a
            valid token: otherwise it could go on guessing.
        clock: Monotonic seconds.
        on_error: Gets what an authorizer raised; the request is refused then.
        resolve: Awaits what an async authorizer returned.
    """

    def __init__(
        self,
        *,
        tokens: Sequence[Secret],
        authorize: Authorize | None,
        allow: Sequence[str],
        max_failures: int,
        clock: Clock,
        on_error: Callable[[Exception], None],
    ) -> None:
        self._tokens = tuple(tokens)
        self._authorize = authorize
        self._networks = tuple(ipaddress.ip_network(each) for each in allow)
        self._max_failures = max_failures
        self._clock = clock
        self._on_error = on_error
        self._failures: OrderedDict[str, list[float]] = OrderedDict()
        self._lock = give_lock(self)

    async def refusal(self, request: Request, resolve: Await) -> Response | None:
        """Return the answer for a request that may not pass, `None` for one that may."""
        address = request.client.host if request.client is not None else ""
        if self._networks and not self._is_allowed(address):
            return problem(403, "this address is not among those that leakguard is open to")
        wait_s = self._wait_s(address)
        if wait_s > 0:
            return problem(
                429, "too many failed log-ins from this address",
                {"Retry-After": str(int(wait_s) + 1)},
            )  # fmt: skip
        given = request.headers.get("authorization", "")
        if self._has_token(given) or await self._is_authorized(request, resolve):
            return None
        self._fail(address)
        challenge = _CHALLENGE + (', error="invalid_token"' if given else "")
        return problem(
            401, "send a valid token as 'Authorization: Bearer …'", {"WWW-Authenticate": challenge}
        )

    def _is_allowed(self, address: str) -> bool:
        try:
            ip = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:  # a Unix socket has none
            return False
        mapped = getattr(ip, "ipv4_mapped", None)
        return any((mapped or ip) in network or ip in network for network in self._networks)

    def _has_token(self, given: str) -> bool:
        scheme, _, token = given.partition(" ")
        # Headers are bytes, which Starlette reads as latin-1.
        offered = token.strip().encode("latin-1")
        # All are compared, so that the time does not tell which one was nearest.
        fits = [hmac.compare_digest(offered, each.reveal()) for each in self._tokens]
        return scheme.lower() == "bearer" and any(fits)

    async def _is_authorized(self, request: Request, resolve: Await) -> bool:
        if self._authorize is None:
            return False
        try:
            answer = self._authorize(request)
            if inspect.isawaitable(answer):
                answer = await resolve(answer)
            return answer is True
        except Exception as error:
            self._on_error(error)
            return False

    def _wait_s(self, address: str) -> float:
        recent = self._recent(address)
        if len(recent) < self._max_failures:
            return 0.0
        return recent[-self._max_failures] + WINDOW_S - self._clock()

    def _fail(self, address: str) -> None:
        with self._lock:
            self._failures[address] = [*self._recent(address), self._clock()]
            self._failures.move_to_end(address)
            while len(self._failures) > _MAX_ADDRESSES:
                self._failures.popitem(last=False)

    def _recent(self, address: str) -> list[float]:
        since = self._clock() - WINDOW_S
        return [each for each in self._failures.get(address, ()) if each > since]
