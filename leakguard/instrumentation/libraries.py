"""Which emitter libraries can be followed, and which of them the service uses."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from typing import Any

from ..core.faults import Faults
from ..exceptions import ConfigError
from .ledger import Ledger

AUTO = "auto"
LIBRARIES = ("blinker", "pyee")


class Libraries:
    """
    Attach a ledger to the libraries that the service has imported by now.

    Args:
        names: Libraries by name, or `auto` for all of `LIBRARIES`.
        ledger: Gets the registrations.
        faults: Counts errors of this part, `instrumentation`.

    Raises:
        ConfigError: A name is not known, or its library not installed.
    """

    def __init__(self, names: Sequence[str], *, ledger: Ledger, faults: Faults) -> None:
        for name in names:
            if name not in (AUTO, *LIBRARIES):
                allowed = ", ".join((AUTO, *LIBRARIES))
                raise ConfigError(f"instrument must name some of {allowed}; got {name!r}")
            if name != AUTO and importlib.util.find_spec(name) is None:
                raise ConfigError(
                    f"instrument names {name}, which is not installed: "
                    f"pip install 'leakguard-web[{name}]'"
                )
        self._names = LIBRARIES if AUTO in names else tuple(names)
        self._ledger = ledger
        self._faults = faults
        self._attached: dict[str, Any] = {}

    def attach(self) -> None:
        """Follow each library that has been imported since the last call; never raises."""
        for name in self._names:
            # What the service does not use is not imported on its behalf.
            if name not in self._attached and name in sys.modules:
                try:
                    module = importlib.import_module(f".{name}", __package__)
                    self._attached[name] = module.INSTRUMENTOR
                    module.INSTRUMENTOR.instrument(self._ledger)
                except Exception as error:
                    self._faults.count("instrumentation", error)

    def detach(self) -> None:
        """Follow no library any more. Calling it twice is harmless."""
        for instrumentor in self._attached.values():
            instrumentor.uninstrument(self._ledger)
        self._attached.clear()

    @property
    def attached(self) -> tuple[str, ...]:
        """Return the names of the libraries that are followed."""
        return tuple(sorted(self._attached))
