"""`touchline keys` says from which web pages a collect key may be used."""

import subprocess
import sys
from typing import Any

import pytest

from tests.services import command, environment, fails

SHOP = "https://shop.example"


@pytest.fixture
def env(own_database: str) -> dict[str, str]:
    return environment(own_database, None)


def typed(env: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    line = [sys.executable, "-m", "touchline", *arguments]
    return subprocess.run(line, env=env, capture_output=True, text=True, check=False, timeout=120)


def listed(env: dict[str, str], key: str) -> Any:
    return next(each for each in command(env, "keys", "list")["keys"] if each["hint"] == key[:8])


def test_a_key_is_made_for_the_pages_of_some_origins(env: dict[str, str]) -> None:
    made = command(env, "keys", "create", "--origin", "HTTPS://Shop.example/", "--origin", "https://*.shop.example")[
        "keys"
    ]
    assert listed(env, made["collect"])["origins"] == ["https://*.shop.example", SHOP]
    assert listed(env, made["server"])["origins"] is None


def test_the_origins_of_a_key_are_replaced_and_taken_away(env: dict[str, str]) -> None:
    key = command(env, "keys", "create", "--scope", "collect")["keys"]["collect"]
    assert listed(env, key)["origins"] is None
    assert command(env, "keys", "origins", key[:8], "--origin", SHOP) == {"origins": [SHOP]}
    assert listed(env, key)["origins"] == [SHOP]
    assert command(env, "keys", "origins", key, "--any") == {"origins": None}
    assert listed(env, key)["origins"] is None


@pytest.mark.parametrize(
    "arguments", [("keys", "revoke", "[/red]"), ("keys", "origins", "[/red]", "--any"), ("reporting", "remove", "[/red]"),
                  ("producers", "disconnect", "hubspot", "--account", "[/red]"), ("workspace", "create", "[/red]")],
)  # fmt: skip
def test_what_is_typed_is_reported_as_it_was_typed(env: dict[str, str], arguments: tuple[str, ...]) -> None:
    command(env, "keys", "create")
    done = typed(env, *arguments)
    assert (done.returncode in (1, 2), "Traceback" in done.stderr) == (True, False), done.stderr
    assert arguments[0] == "workspace" or "[/red]" in done.stderr


def test_the_keys_of_a_workspace_that_does_not_exist_are_no_empty_list(env: dict[str, str]) -> None:
    command(env, "keys", "create")
    for arguments in (("list",), ("revoke", "tlc_abcd"), ("origins", "tlc_abcd", "--any")):
        done = typed(env, "keys", *arguments, "--workspace", "nowhere")
        assert (done.returncode, "nowhere" in done.stderr) == (2, True), done.stderr


def test_only_collect_keys_have_origins(env: dict[str, str]) -> None:
    key = command(env, "keys", "create", "--scope", "server")["keys"]["server"]
    assert "only collect keys" in fails(env, "keys", "origins", key, "--origin", SHOP)
    assert "no keys in force" in fails(env, "keys", "origins", "tlc_none", "--any")


def test_what_was_typed_is_printed_as_it_was_typed(env: dict[str, str]) -> None:
    """Brackets are markup for rich, which raises for a closing one without an opening one."""
    command(env, "keys", "create", "--scope", "server")
    assert "begin with tlc_[/x]; name the whole key" in fails(env, "keys", "revoke", "tlc_[/x]")
