"""Log events, where and how the service logs already."""

import asyncio
import io
import json
import logging
import sys
import threading

import pytest
import structlog

from leakguard.reports.events import Events


class Handlers(list):
    """The handlers of a logger, without those that pytest adds to catch logs."""

    def append(self, handler):
        if type(handler).__module__ != "_pytest.logging":
            super().append(handler)


@pytest.fixture(autouse=True)
def unconfigured(monkeypatch):
    """Begin without a configuration of structlog or of the root logger, and put both back."""
    monkeypatch.setattr(logging.root, "handlers", Handlers())
    monkeypatch.setattr(logging.root, "level", logging.WARNING)
    logger = logging.getLogger("leakguard")
    level = logger.level
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()
    logger.setLevel(level)


@pytest.fixture
def events():
    return Events()


class Handler(logging.Handler):
    """Keep records, and the texts that they have."""

    def __init__(self, level=logging.NOTSET):
        super().__init__(level)
        self.records = []

    def emit(self, record):
        self.records.append((record, record.getMessage()))


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_unconfigured_service_gets_one_line_of_json(events, capsys):
    """
    Standard error gets one JSON object a line: time, level and event first.
    """
    events("warning", "leak_confirmed", route="/a\nb", count=3, odd=object)

    (line,) = capsys.readouterr().err.splitlines()
    keys = json.loads(line)
    assert list(keys)[:3] == ["timestamp", "level", "event"]
    assert (keys["level"], keys["event"], keys["route"], keys["count"]) == (
        "warning",
        "leak_confirmed",
        "/a\nb",
        3,
    )
    assert keys["odd"] == "<class 'object'>"


def test_unconfigured_service_gets_nothing_below_info(events, capsys):
    """
    Debug events are for those who have asked for them.
    """
    events("debug", "request_traced", route="/a")
    events("info", "route_summary", route="/a")
    events("error", "part_failed", part="walk")

    captured = capsys.readouterr()
    assert [json.loads(line)["event"] for line in captured.err.splitlines()] == [
        "route_summary",
        "part_failed",
    ]
    assert captured.out == ""


def test_terminal_gets_lines_for_people(events, monkeypatch):
    """
    On a terminal the event is not JSON.
    """
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)

    events("warning", "leak_confirmed", route="/a")

    text = terminal.getvalue()
    assert "leak_confirmed" in text
    assert "/a" in text
    assert not text.startswith("{")


def test_process_without_standard_error_is_not_disturbed(events, monkeypatch):
    """
    A daemon may have none; the event is counted as lost.
    """
    before = events.failures()
    monkeypatch.setattr(sys, "stderr", None)

    events("warning", "leak_confirmed")

    assert before == {}
    assert events.failures() == {"logs": 1}


def test_root_handlers_get_a_line_and_the_keys(events):
    """
    With the root logger configured the event is a text, its keys are in the record.
    """
    handler = Handler()
    logging.root.handlers.append(handler)

    events("warning", "leak_confirmed", route="/a", count=3)

    ((record, text),) = handler.records
    assert (record.name, record.levelno) == ("leakguard", logging.WARNING)
    assert text == "leak_confirmed route='/a' count=3"
    assert record.leakguard == {"route": "/a", "count": 3}


def test_text_is_not_made_for_nobody(events):
    """
    A level that is off costs no formatting of keys.
    """

    class Loud:
        def __repr__(self):
            raise AssertionError("was formatted")

    logging.root.handlers.append(Handler())

    events("debug", "request_traced", value=Loud())

    assert events.failures() == {}


def test_handler_that_fails_does_not_disturb(events):
    """
    Errors of the service's handlers are counted, not raised.
    """

    class Broken(logging.Handler):
        def handle(self, record):
            raise OSError("disk full")

    logging.root.handlers.append(Broken())

    events("warning", "leak_confirmed")
    events("warning", "leak_confirmed")

    assert events.failures() == {"logs": 2}


def test_configured_structlog_gets_the_event(events):
    """
    The service's own processors see event, level and keys.
    """
    capture = structlog.testing.LogCapture()
    structlog.configure(processors=[capture])
    handler = Handler()
    logging.root.handlers.append(handler)

    events("warning", "leak_confirmed", route="/a")

    assert capture.entries == [{"event": "leak_confirmed", "log_level": "warning", "route": "/a"}]
    assert handler.records == []


def in_a_loop(say):
    async def serve():
        say()

    asyncio.run(serve())


def in_a_thread(say):
    thread = threading.Thread(target=say)
    thread.start()
    thread.join()


@pytest.mark.parametrize("call", [in_a_loop, in_a_thread])
def test_asynchronous_structlog_gets_the_event(events, call):
    """
    An asynchronous logger is used through the synchronous one inside it, with a loop or without.
    """
    capture = structlog.testing.LogCapture()
    structlog.configure(
        processors=[capture],
        wrapper_class=structlog.stdlib.AsyncBoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )

    call(lambda: events("warning", "leak_confirmed", route="/a"))

    assert [entry["event"] for entry in capture.entries] == ["leak_confirmed"]
    assert events.failures() == {}


def test_processor_that_fails_does_not_disturb(events):
    """
    Errors of the service's processors are counted, not raised.
    """

    def broken(logger, method, keys):
        raise RuntimeError("broken")

    structlog.configure(processors=[broken])

    events("warning", "leak_confirmed")

    assert events.failures() == {"logs": 1}


def test_nothing_global_is_configured(events, capsys):
    """
    Logging leaves structlog and the root logger as they were.
    """
    events("warning", "leak_confirmed")
    capsys.readouterr()

    assert not structlog.is_configured()
    assert logging.root.handlers == []


def test_unconfigured_service_wants_no_debug(events):
    """
    Nobody sees debug events without a configuration.
    """
    logging.getLogger("leakguard").setLevel(logging.DEBUG)

    assert events.wants_debug() is False


@pytest.mark.parametrize(
    ("level", "expected"),
    [pytest.param(logging.DEBUG, True, id="debug"), pytest.param(logging.INFO, False, id="info")],
)
def test_level_of_the_logger_decides(events, level, expected):
    """
    With the root logger configured its level, or that of `leakguard`, decides.
    """
    logging.root.handlers.append(Handler())
    logging.getLogger("leakguard").setLevel(level)

    assert events.wants_debug() is expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(
            {"wrapper_class": structlog.make_filtering_bound_logger(logging.DEBUG)},
            True,
            id="filtering-debug",
        ),
        pytest.param(
            {"wrapper_class": structlog.make_filtering_bound_logger(logging.INFO)},
            False,
            id="filtering-info",
        ),
        pytest.param({"wrapper_class": structlog.BoundLogger}, True, id="without-levels"),
    ],
)
def test_configured_structlog_decides(events, settings, expected):
    """
    A logger of structlog that has levels is asked; one without sees everything.
    """
    structlog.configure(**settings)

    assert events.wants_debug() is expected


def test_structlog_on_top_of_logging_is_asked(events):
    """
    structlog's logger for the standard library has the level of its logger.
    """
    structlog.configure(
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    logging.getLogger("leakguard").setLevel(logging.DEBUG)
    wanted = events.wants_debug()
    logging.getLogger("leakguard").setLevel(logging.ERROR)

    assert wanted is True
    assert events.wants_debug() is False
