"""`touchline producers connect`, `disconnect` and `accounts` on a database, as an operator types them."""

import asyncio
import json
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from shared.store.producer_counts import Outcome, write_counts
from tests.conftest import Workspace, new_workspace
from touchline.compose import Running


def run_command(url: str, *arguments: str, typed: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", "touchline", "producers", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, input=typed,
        env={"COLUMNS": "200", "TOUCHLINE_DATABASE_URL": url},
    )  # fmt: skip


@pytest.fixture
def number() -> str:
    return str(random.randrange(10**8, 10**9))


def test_an_account_is_connected_by_a_secret_in_a_file_listed_and_disconnected(
    workspace: Workspace, database_url: str, number: str, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("3f1c0a2e-5d\n")
    of = ("--account", number, "--workspace", workspace.name)
    done = run_command(database_url, "connect", "hubspot", *of, "--secret-file", str(tmp_path / "secret"), "--json")
    assert (done.returncode, json.loads(done.stdout)["account"]) == (0, number), done.stderr
    listed = run_command(database_url, "accounts", "--workspace", workspace.name, "--json")
    assert [item["account"] for item in json.loads(listed.stdout)["items"]] == [number]
    assert "3f1c0a2e-5d" not in listed.stdout
    assert number in run_command(database_url, "accounts", "--workspace", workspace.name).stdout
    assert run_command(database_url, "disconnect", "hubspot", *of).returncode == 0
    again = run_command(database_url, "disconnect", "hubspot", *of)
    assert (again.returncode, number in again.stderr) == (1, True)


def test_a_secret_is_asked_for_and_kept_without_the_line_break(
    workspace: Workspace, database_url: str, number: str, runner: asyncio.Runner
) -> None:
    of = ("--account", number, "--workspace", workspace.name)
    done = run_command(database_url, "connect", "hubspot", *of, typed="asked for\n")
    assert done.returncode == 0, done.stderr
    assert "asked for" not in done.stdout + done.stderr
    find = "SELECT secret FROM touchline.producer_account WHERE account = $1"
    assert runner.run(workspace.running.pool.fetchval(find, number)) == "asked for"


def test_an_account_of_another_workspace_is_refused(
    workspace: Workspace, running: Running, database_url: str, number: str, runner: asyncio.Runner
) -> None:
    other = runner.run(new_workspace(running, "other"))
    for name, code in ((workspace.name, 0), (other.name, 1)):
        done = run_command(
            database_url, "connect", "hubspot", "--account", number, "--workspace", name, typed="secret\n"
        )
        assert done.returncode == code, done.stderr
    assert "another workspace" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("connect", "nobody", "--account", "5"), "takes no account"), (("connect", "hubspot", "--account", "shop"), "portal"),
        (("connect", "hubspot"), "--account"), (("connect", "hubspot", "--account", "5", "--workspace", "nowhere"), "no workspace"),
        (("connect", "hubspot", "--account", "5", "--secret-file", "/nowhere"), "/nowhere"),
        (("connect", "sendgrid", "--account", "shop"), "not a public key"),
    ],
)  # fmt: skip
def test_what_cannot_be_connected_is_a_usage_error(
    database_url: str, running: Running, arguments: tuple[str, ...], expected: str
) -> None:
    done = run_command(database_url, *arguments, typed="secret\n")
    assert done.returncode == 2, done.stdout
    assert expected in done.stderr


def test_a_row_stays_on_one_line_where_no_terminal_says_how_wide_it_is(
    workspace: Workspace, database_url: str, runner: asyncio.Runner
) -> None:
    name, code = "object.associationChange:0-3:hs_analytics_latest_source", "forgetting_not_supported"
    outcomes = {Outcome("hubspot", name, "unmapped"): 1, Outcome("hubspot", name, "refused", code): 2}
    runner.run(write_counts(workspace.running.pool, {workspace.name: Counter(outcomes)}))
    for command, wanted in (("list", f"{code} 2"), ("unmapped", name)):
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", "touchline", "producers", command, "--workspace", workspace.name],
            capture_output=True, text=True, timeout=120, check=True, env={"TOUCHLINE_DATABASE_URL": database_url},
        )  # fmt: skip
        assert any(name in line and wanted in line for line in done.stdout.splitlines()), done.stdout
