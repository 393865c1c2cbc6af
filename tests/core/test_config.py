"""Settings: defaults, checks, variables, and tokens that never show."""

import traceback

import pytest

from leakguard.core.config import Config, Secret, build_config
from leakguard.exceptions import ConfigError, LeakGuardError


def test_defaults_hold_without_settings_and_variables():
    """
    Nothing given gives the defaults.
    """
    config = build_config({}, {})

    assert config == Config()
    assert (config.prefix, config.max_routes, config.walk) == ("/debug", 500, "auto")


def test_keyword_wins_over_variable():
    """
    A keyword beats the variable of the same setting.
    """
    config = build_config({"max_routes": 7}, {"LEAKGUARD_MAX_ROUTES": "9"})

    assert config.max_routes == 7


def test_variables_of_the_process_are_read_by_default(monkeypatch):
    """
    Without an explicit environment the process's own is read.
    """
    monkeypatch.setenv("LEAKGUARD_MAX_ROUTES", "11")

    config = build_config({})

    assert config.max_routes == 11


@pytest.mark.parametrize(
    ("variable", "text", "name", "value"),
    [
        pytest.param("LEAKGUARD_ENABLED", "off", "enabled", False, id="false"),
        pytest.param("LEAKGUARD_ENABLED", "YES", "enabled", True, id="true"),
        pytest.param("LEAKGUARD_MAX_TYPES", "3", "max_types", 3, id="int"),
        pytest.param("LEAKGUARD_INTERVAL_S", "2.5", "interval_s", 2.5, id="float"),
        pytest.param("LEAKGUARD_PREFIX", "/ops", "prefix", "/ops", id="text"),
        pytest.param(
            "LEAKGUARD_ALLOW", "10.0.0.0/8, ::1,", "allow", ("10.0.0.0/8", "::1"), id="list"
        ),
    ],
)
def test_variable_sets_its_field(variable, text, name, value):
    """
    The text of a variable becomes a value of the setting's type.
    """
    config = build_config({}, {variable: text})

    assert getattr(config, name) == value


@pytest.mark.parametrize(
    ("name", "given", "value"),
    [
        pytest.param("interval_s", 5, 5.0, id="int-as-float"),
        pytest.param("instrument", "pyee", ("pyee",), id="text-as-list"),
        pytest.param("instrument", ["pyee", "blinker"], ("pyee", "blinker"), id="list"),
        pytest.param("prefix", "/ops/leaks", "/ops/leaks", id="text"),
        pytest.param("enabled", False, False, id="bool"),
        pytest.param("token", None, (), id="no-token"),
        pytest.param("cpu_budget", 1, 1.0, id="whole-budget"),
        pytest.param("snapshot_cooldown_s", 0, 0.0, id="no-cooldown"),
    ],
)
def test_keyword_sets_its_field(name, given, value):
    """
    A keyword is taken in the forms that its setting allows.
    """
    config = build_config({name: given}, {})

    assert getattr(config, name) == value


@pytest.mark.parametrize(
    ("settings", "allowed", "given"),
    [
        pytest.param({"interval_s": 0}, "interval_s must be above 0", "0", id="zero-interval"),
        pytest.param({"walk_deadline_s": -1}, "must be above 0", "-1", id="negative-deadline"),
        pytest.param({"inline_budget_s": float("nan")}, "must be above 0", "nan", id="nan"),
        pytest.param({"interval_s": float("inf")}, "interval_s must be", "inf", id="inf"),
        pytest.param({"walk_deadline_s": float("inf")}, "must be", "inf", id="inf-deadline"),
        pytest.param({"summary_interval_s": "5"}, "must be a number", "'5'", id="text-for-number"),
        pytest.param({"max_routes": 0}, "max_routes must be at least 1", "0", id="zero-bound"),
        pytest.param({"max_types": 1.5}, "must be a whole number", "1.5", id="half-bound"),
        pytest.param({"max_errors": True}, "must be a whole number", "True", id="bool-bound"),
        pytest.param({"snapshot_cooldown_s": -1}, "at least 0", "-1", id="negative-cooldown"),
        pytest.param({"cpu_budget": 0}, "above 0 and at most 1", "0", id="no-budget"),
        pytest.param({"cpu_budget": 1.5}, "above 0 and at most 1", "1.5", id="large-budget"),
        pytest.param({"walk": "spoon"}, "one of auto, fork, inline, off", "'spoon'", id="walk"),
        pytest.param({"walk": 3}, "walk must be a text", "3", id="walk-number"),
        pytest.param({"prefix": "debug"}, "starts with /", "'debug'", id="prefix-unrooted"),
        pytest.param({"prefix": "/debug/"}, "does not end with it", "'/debug/'", id="prefix-end"),
        pytest.param({"authorize": 3}, "authorize must be a callable", "'int'", id="authorize"),
        pytest.param({"enabled": 1}, "must be true or false", "1", id="int-for-bool"),
        pytest.param({"allow": "10.0.0.1/8"}, "allow must hold networks", "'10.0.0.1/8'", id="net"),
        pytest.param({"allow": 3}, "allow must be a list of texts", "int", id="allow-number"),
        pytest.param({"allow": [3]}, "allow must be a list of texts", "list", id="allow-numbers"),
        pytest.param({"spam": 1}, "settings are ", "'spam'", id="unknown"),
    ],
)
def test_bad_keyword_is_refused(settings, allowed, given):
    """
    The error says what is allowed and what was given.
    """
    with pytest.raises(ConfigError) as caught:
        build_config(settings, {})

    assert allowed in str(caught.value)
    assert f"got {given}" in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "text", "allowed"),
    [
        pytest.param("LEAKGUARD_ENABLED", "maybe", "must be true or false", id="bool"),
        pytest.param("LEAKGUARD_INTERVAL_S", "soon", "must be a number", id="float"),
        pytest.param("LEAKGUARD_MAX_ROUTES", "10.5", "must be a whole number", id="half-bound"),
        pytest.param("LEAKGUARD_AUTHORIZE", "me", "authorize must be a callable", id="authorize"),
    ],
)
def test_bad_variable_is_refused_by_its_name(variable, text, allowed):
    """
    The error names the variable, and what it may hold.
    """
    with pytest.raises(ConfigError) as caught:
        build_config({}, {variable: text})

    assert variable in str(caught.value)
    assert allowed in str(caught.value)


def test_config_error_is_a_value_error():
    """
    Callers may expect the built-in error, or leakguard's own.
    """
    assert issubclass(ConfigError, ValueError)
    assert issubclass(ConfigError, LeakGuardError)


@pytest.mark.parametrize(
    "tokens",
    [
        pytest.param("hush-hush", id="one"),
        pytest.param(["hush-hush", "hush-too"], id="several"),
    ],
)
def test_token_is_kept_and_shown_nowhere(tokens):
    """
    No text form of the configuration or the token has the token in it.
    """
    config = build_config({"token": tokens}, {})

    shown = f"{config!r} {config} {config.token!r} {config.token[0]} {config.token[0]:}"
    assert config.token[0].reveal() == b"hush-hush"
    assert config.has_auth
    assert "hush" not in shown


def test_tokens_come_from_their_variable():
    """
    A variable holds several tokens, separated by commas.
    """
    config = build_config({}, {"LEAKGUARD_TOKEN": "hush, hush-too ,"})

    assert [token.reveal() for token in config.token] == [b"hush", b"hush-too"]


def test_empty_token_variable_means_none():
    """
    A deployment says "no token" with an empty variable.
    """
    config = build_config({}, {"LEAKGUARD_TOKEN": " "})

    assert config.token == ()
    assert not config.has_auth


@pytest.mark.parametrize(
    "token",
    [
        pytest.param("", id="empty"),
        pytest.param("  ", id="blank"),
        pytest.param([], id="no-texts"),
        pytest.param(["hush", ""], id="one-empty"),
        pytest.param(["hush", 3], id="one-number"),
        pytest.param(b"hush", id="bytes"),
        pytest.param({"hush": 1}, id="mapping"),
        pytest.param("hush\udcff", id="no-valid-text"),
    ],
)
def test_bad_token_is_refused_without_repeating_it(token):
    """
    Not even a wrong token is in the error, its repr, its causes or its traceback's last lines.
    """
    with pytest.raises(ConfigError, match="token must be") as caught:
        build_config({"token": token}, {})

    seen, error = [], caught.value
    while error is not None:
        seen += [repr(error), *traceback.format_exception_only(error)]
        error = None if error.__suppress_context__ else error.__context__
    assert "hush" not in " ".join(seen)


def test_token_variable_that_is_no_text_is_refused_without_repeating_it():
    """
    Bytes that are no UTF-8 come from the environment as surrogates.
    """
    with pytest.raises(ConfigError) as caught:
        build_config({}, {"LEAKGUARD_TOKEN": "hush\udcff"})

    assert "hush" not in repr(caught.value)


def test_authorize_alone_opens_the_endpoints():
    """
    An authorizer is enough to let somebody in.
    """
    config = build_config({"authorize": lambda request: True}, {})

    assert config.has_auth


def test_secrets_do_not_show():
    """
    A secret's repr has nothing of its value in it.
    """
    assert repr(Secret("hush")) == "Secret(***)"
