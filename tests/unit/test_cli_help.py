"""Is the command's help complete, and does it need none of the libraries that the commands work with?"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup
from typer.testing import CliRunner

from touchline.cli.groups import Command, Group
from touchline.cli.main import app

LIGHT = {"typer", "annotated_doc", "shellingham"}
"""The packages that the help may import. Every other costs a user who asks for help, or presses Tab, its time."""

SERVICES = {"alembic", "fastapi", "starlette", "uvicorn"}
NO_SERVICE = (
    "asset", "backfill", "campaign", "dead_letters", "explain", "export", "identifiers", "importing", "keys", "producers", "replay", "reporting",
    "catalog_changes", "status", "store", "what_if", "workspace",
)  # fmt: skip

LOADED = """
import atexit, json, sys
def tell():
    files = {name.partition(".")[0] for name, module in sys.modules.items() if "site-packages" in (getattr(module, "__file__", None) or "")}
    print(json.dumps(sorted(files - before)), file=sys.stderr)
before = {name.partition(".")[0] for name in sys.modules}
atexit.register(tell)
from touchline.cli.main import app
"""


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """All groups and commands, each with the words that name it."""
    command = command or typer.main.get_command(app)
    yield path, command
    for name, child in getattr(command, "commands", {}).items():
        yield from commands(child, (*path, name))


def help_of(*path: str) -> str:
    done = CliRunner().invoke(app, [*path, "--help"], prog_name="touchline")
    assert done.exit_code == 0
    return done.stdout


def whole(text: str) -> str:
    """A text without the spaces and ends of lines, which depend on where lines are broken."""
    return "".join(text.split())


ALL = dict(commands())
EACH = pytest.mark.parametrize("path", ALL, ids=lambda path: " ".join(path) or "touchline")


def loading(code: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run a piece of Python after `touchline.cli.main` was imported; the last line of standard error has what it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", LOADED + code], capture_output=True, text=True, check=False, timeout=60,
        env=os.environ | environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def packages_of(done: "subprocess.CompletedProcess[str]") -> set[str]:
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_the_help_of_touchline_loads_typer_alone() -> None:
    assert packages_of(loading("app(['--help'])")) <= LIGHT


def test_the_help_of_every_command_loads_typer_alone() -> None:
    code = f"""
for path in {list(ALL)!r}:
    app([*path, "--help"], standalone_mode=False)
"""
    assert packages_of(loading(code)) <= LIGHT


@pytest.mark.parametrize(
    ("typed", "completed"),
    [("touchline repl", "replay"), ("touchline replay ver", "verify"), ("touchline replay verify --data x --pro", "--processes")],
)  # fmt: skip
def test_bash_completes_a_name_and_loads_typer_alone(typed: str, completed: str) -> None:
    environment = {"COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" ")), "_TOUCHLINE_COMPLETE": "complete_bash"}
    done = loading("app(prog_name='touchline')", **environment)
    assert done.stdout.split() == [completed]
    assert packages_of(done) <= LIGHT


def test_a_command_that_runs_loads_what_it_works_with() -> None:
    """Else the tests above would not see what they look for."""
    code = """
from touchline.cli.groups import Command
import touchline.commands.keys
print("loaded")
"""
    assert {"asyncpg", "rich", "sqlalchemy"} <= packages_of(loading(code))


def test_commands_that_open_a_store_load_neither_the_services_nor_migrations() -> None:
    """Both take a second to import. A command that serves, changes the catalog or migrates imports them when it does."""
    code = f"""
import importlib
for name in {NO_SERVICE!r}:
    importlib.import_module("touchline.commands." + name)
"""
    assert packages_of(loading(code)) & SERVICES == set()


@EACH
def test_every_command_and_all_that_it_takes_has_a_help_text(path: tuple[str, ...]) -> None:
    command = ALL[path]
    assert command.help
    assert [parameter.name for parameter in command.params if not parameter.help] == []


@EACH
def test_the_help_of_a_command_shows_each_command_option_and_argument(path: tuple[str, ...]) -> None:
    text = whole(help_of(*path))
    command = ALL[path]
    for parameter in command.params:
        assert whole(parameter.help) in text
        assert parameter.param_type_name == "argument" or all(whole(option) in text for option in parameter.opts)
    for name, child in getattr(command, "commands", {}).items():
        assert whole(name + child.help.split(".")[0]) in text


@EACH
def test_every_command_sets_up_the_log_lines_before_it_runs(path: tuple[str, ...]) -> None:
    assert isinstance(ALL[path], Group if isinstance(ALL[path], TyperGroup) else Command)


def test_a_group_shows_the_whole_first_sentence_of_a_command_that_is_longer_than_a_line() -> None:
    sentence = (
        "Project the log from its beginning, and compare every table with the live one at the same position of the log."
    )
    assert whole("verify" + sentence) in whole(help_of("replay"))
