"""Every setting, with its default, its check, and its environment variable."""

import ipaddress
import math
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from ..exceptions import ConfigError

Authorize = Callable[[Any], bool | Awaitable[bool]]
WalkMode = Literal["auto", "fork", "inline", "off"]

ENV_PREFIX = "LEAKGUARD_"
_BOOLEANS = {"1": True, "true": True, "yes": True, "on": True} | {
    "0": False, "false": False, "no": False, "off": False
}  # fmt: skip


class Secret:
    """Hold a token so that no repr, log line or traceback can show it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value.encode()

    def reveal(self) -> bytes:
        """Return the bytes to compare against, and nothing else."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """
    Hold the settings of one guard, checked once, never changed.

    Every field is a keyword of `LeakGuard` and an environment variable `LEAKGUARD_<FIELD>`; the
    keyword wins. Lists in variables are separated by commas.

    Raises:
        ConfigError: A value is outside of what its setting allows. Tokens are never repeated.
    """

    enabled: bool = True
    """Trace requests at all; off, the middleware only passes calls through."""
    token: tuple[Secret, ...] = field(default=(), repr=False)
    """Bearer tokens that open the debug endpoints; several during a rotation."""
    authorize: Authorize | None = field(default=None, repr=False)
    """Sync or async callable that gets the request and says whether it may pass."""
    allow: tuple[str, ...] = ()
    """Networks (CIDR) that may reach the debug endpoints at all; empty: any."""
    prefix: str = "/debug"
    """Path under which the debug endpoints answer."""
    max_auth_failures: int = 10
    """Failed log-ins from one address in a minute before it gets 429."""

    monitor: bool = True
    """Take passes by itself, in a thread of the process that serves."""
    interval_s: float = 30.0
    """Shortest time between two passes of the monitor."""
    cpu_budget: float = 0.01
    """Share of wall time that walks may cost; passes are taken less often to hold it."""
    summary_interval_s: float = 300.0
    """Time between two rounds of `route_summary` lines."""

    walk: WalkMode = "auto"
    """`fork`, `inline`, `off`; `auto` forks where that is safe (Linux), else walks inline."""
    walk_deadline_s: float = 60.0
    """Time after which a walking child is killed."""
    inline_budget_s: float = 0.1
    """Time an inline walk may take before it stops, incomplete."""
    snapshot_cooldown_s: float = 10.0
    """Age up to which a snapshot is handed out again instead of a new one being taken."""

    instrument: tuple[str, ...] = ("auto",)
    """Libraries whose listeners are followed; `auto`: all that the service has imported."""
    max_listeners: int = 10
    """Living listeners on one event of one emitter before `max_listeners_exceeded` is said."""

    max_routes: int = 500
    """Routes kept apart; later ones are counted together as `<other>`."""
    max_survivors: int = 50_000
    """Canaries followed at a time."""
    max_registrations: int = 50_000
    """Living listener registrations followed at a time."""
    max_suspects: int = 100
    """Suspects kept, resolved ones dropped first."""
    max_snapshots: int = 20
    """Snapshots kept in memory, the oldest dropped first."""
    max_types: int = 500
    """Types listed in one snapshot, largest first; the rest are summed."""
    max_errors: int = 5
    """Own errors of one part before that part switches itself off."""

    def __post_init__(self) -> None:
        for name in ("interval_s", "summary_interval_s", "walk_deadline_s", "inline_budget_s"):
            value = getattr(self, name)
            _require(value > 0 and math.isfinite(value), name, "above 0 and finite", value)
        for name in (
            "max_auth_failures", "max_listeners", "max_routes", "max_survivors",
            "max_registrations", "max_suspects", "max_snapshots", "max_types", "max_errors",
        ):  # fmt: skip
            _require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        cooldown_s = self.snapshot_cooldown_s
        _require(cooldown_s >= 0 and math.isfinite(cooldown_s), "snapshot_cooldown_s",
                 "at least 0 and finite", cooldown_s)  # fmt: skip
        _require(0 < self.cpu_budget <= 1, "cpu_budget", "above 0 and at most 1", self.cpu_budget)
        modes = get_args(WalkMode)
        _require(self.walk in modes, "walk", f"one of {', '.join(modes)}", self.walk)
        rooted = self.prefix.startswith("/") and not self.prefix.endswith("/")
        _require(rooted, "prefix", "a path that starts with / and does not end with it",
                 self.prefix)  # fmt: skip
        _require(self.authorize is None or callable(self.authorize), "authorize", "a callable",
                 type(self.authorize).__name__)  # fmt: skip
        for network in self.allow:
            try:
                ipaddress.ip_network(network)
            except ValueError:
                raise ConfigError(
                    f"allow must hold networks such as 10.0.0.0/8 or ::1, got {network!r}"
                ) from None

    @property
    def has_auth(self) -> bool:
        """Tell whether anybody can be let in to the debug endpoints."""
        return bool(self.token) or self.authorize is not None


def build_config(settings: Mapping[str, Any], environ: Mapping[str, str] | None = None) -> Config:
    """
    Check *settings* together with the `LEAKGUARD_…` variables and return the configuration.

    Args:
        settings: Keywords as the caller gave them; they win over variables.
        environ: Variables to read, the process's own by default.

    Raises:
        ConfigError: An unknown keyword, or a value that its setting does not allow.
    """
    known = {each.name: each for each in fields(Config)}
    for name in settings:
        if name not in known:
            raise ConfigError(f"settings are {', '.join(sorted(known))}; got {name!r}")
    source = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    for name, each in known.items():
        if name in settings:
            values[name] = _checked_type(name, settings[name], each.default)
        elif ENV_PREFIX + name.upper() in source:
            values[name] = _from_text(name, source[ENV_PREFIX + name.upper()], each.default)
    return Config(**values)


def _checked_type(name: str, value: Any, default: Any) -> Any:
    if name == "token":
        return _tokens(value)
    if name == "authorize":
        return value
    if isinstance(default, bool):
        return _typed(name, value, bool, "true or false")
    if isinstance(default, int):
        return _typed(name, value, int, "a whole number")
    if isinstance(default, float):
        return float(_typed(name, value, (int, float), "a number"))
    if isinstance(default, tuple):
        return _texts(name, value)
    return _typed(name, value, str, "a text")


def _typed(name: str, value: Any, kinds: Any, allowed: str) -> Any:
    wrong_bool = isinstance(value, bool) and kinds is not bool
    if wrong_bool or not isinstance(value, kinds):
        raise ConfigError(f"{name} must be {allowed}, got {value!r}")
    return value


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Sequence) and all(isinstance(item, str) for item in value):
        return tuple(value)
    raise ConfigError(f"{name} must be a list of texts, got {type(value).__name__}")


def _tokens(value: Any) -> tuple[Secret, ...]:
    if value is None:
        return ()
    texts = (value,) if isinstance(value, str) else value
    if not isinstance(texts, Sequence) or not texts:
        raise ConfigError(f"token must be a text or a list of texts, got {type(value).__name__}")
    for text in texts:
        if not isinstance(text, str) or not text.strip():
            raise ConfigError("token must be a non-empty text, got one that is empty or no text")
    return tuple(map(_secret, texts))


def _secret(text: str) -> Secret:
    try:
        # One read from a file ends with a line break.
        return Secret(text.strip())
    except UnicodeEncodeError:
        raise ConfigError("token must be valid text, got one that no encoding can hold") from None


def _from_text(name: str, text: str, default: Any) -> Any:
    variable = ENV_PREFIX + name.upper()
    if name == "token":
        # An empty variable is how a deployment says "none".
        return tuple(_secret(part) for part in text.split(",") if part.strip())
    if name == "authorize":
        raise ConfigError(f"{variable} cannot be set: authorize must be a callable, in code")
    if isinstance(default, bool):
        if text.lower() not in _BOOLEANS:
            raise ConfigError(f"{variable} must be true or false, got {text!r}")
        return _BOOLEANS[text.lower()]
    if isinstance(default, int | float):
        try:
            return type(default)(text)
        except ValueError:
            allowed = "a whole number" if isinstance(default, int) else "a number"
            raise ConfigError(f"{variable} must be {allowed}, got {text!r}") from None
    if isinstance(default, tuple):
        return tuple(part.strip() for part in text.split(",") if part.strip())
    return text


def _require(holds: bool, name: str, allowed: str, given: object) -> None:
    if not holds:
        raise ConfigError(f"{name} must be {allowed}, got {given!r}")
