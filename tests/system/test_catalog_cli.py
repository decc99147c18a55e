"""`touchline campaign`, `asset` and `workspace`, as a person types them, on a store that no service projects."""

import json
import subprocess
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.timeout(300)


def typed(url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", "touchline", *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False,
        env={"COLUMNS": "200", "TOUCHLINE_DATABASE_URL": url},
    )  # fmt: skip


def json_of(url: str, *arguments: str) -> dict[str, Any]:
    done = typed(url, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def refused(url: str, *arguments: str) -> str:
    done = typed(url, *arguments)
    assert done.returncode == 1, done
    assert "Traceback" not in done.stderr
    return done.stderr


def refusal_of(url: str, *arguments: str) -> dict[str, Any]:
    """What a command that takes several assets says of the last one, which is refused."""
    done = typed(url, *arguments, "--json")
    assert done.returncode == 1, done.stderr
    last: dict[str, Any] = json.loads(done.stdout)["items"][-1]
    return last


def test_campaigns_and_assets_are_made_moved_listed_and_deleted(own_database: str) -> None:
    url, of = own_database, ("--workspace", "shop")
    assert set(json_of(url, "workspace", "create", "shop", "--name", "Shop")["keys"]) == {
        "collect",
        "server",
        "read",
        "admin",
    }
    assert json_of(url, "campaign", "create", "spring", "--name", "Spring", "--utm-campaign", "spring", *of)["changed"]
    assert not json_of(url, "campaign", "create", "spring", "--name", "Spring", *of)["changed"]
    assert "says so already" in typed(url, "campaign", "create", "spring", "--name", "Spring", *of).stdout
    assert "touchline campaign change" in refused(url, "campaign", "create", "spring", "--name", "Other", *of)
    assert "`--move`" in refused(url, "campaign", "create", "other", "--utm-campaign", "spring", *of)
    assert refused(url, "campaign", "create", "other", "--starts-on", "soon", *of).startswith(
        "starts_on: Expected a date"
    )
    json_of(url, "campaign", "create", "autumn", *of)
    for empty in ("", " ", "\u200b"):
        assert refused(url, "campaign", "rename", "autumn", empty, *of).startswith("name: a text without a character")
        assert "campaign_id" in refused(url, "campaign", "create", empty, *of)
    assert "--type" in refused(url, "asset", "register", "lp", *of)
    json_of(url, "asset", "register", "lp", "--type", "landing_page", "--url", "https://s.example/lp", *of)
    assert refusal_of(url, "campaign", "add", "spring", "lp", "nowhere", *of)["code"] == "unknown_asset"
    moving = refusal_of(url, "campaign", "add", "autumn", "lp", *of)
    assert (moving["code"], moving["held_by"]) == ("held_by_another", "spring")
    assert json_of(url, "campaign", "move", "autumn", "lp", *of)["items"][0]["moved_from"] == "spring"
    assert "autumn" in refused(url, "asset", "delete", "lp", *of)
    json_of(url, "campaign", "rename", "autumn", "Autumn", *of)
    shown = json_of(url, "campaign", "show", "autumn", *of)
    assert (shown["name"], [held["asset_id"] for held in shown["associations"]]) == ("Autumn", ["lp"])
    assert json_of(url, "asset", "show", "lp", *of)["campaigns"] == ["autumn"]
    json_of(url, "campaign", "remove", "autumn", "lp", *of)
    assert [item["asset_id"] for item in json_of(url, "asset", "list", "--unheld", *of)["items"]] == ["lp"]
    json_of(url, "asset", "delete", "lp", *of)
    json_of(url, "campaign", "delete", "autumn", *of)
    listed = json_of(url, "campaign", "list", *of)["items"]
    assert {item["campaign_id"]: item["deleted_at"] is None for item in listed} == {"spring": True, "autumn": False}
    for text in (typed(url, "campaign", "list", *of), typed(url, "campaign", "show", "spring", *of)):
        assert (text.returncode, "Spring" in text.stdout) == (0, True), text.stderr


def test_names_with_control_characters_and_styles_are_printed_as_they_are(own_database: str) -> None:
    odd, shown = "[red]x[/]\x1b[31m\nchanged spring", r"[red]x[/]\x1b[31m\nchanged spring"
    json_of(own_database, "workspace", "create", "shop")
    json_of(own_database, "asset", "register", odd, "--type", "form", "--name", odd, "--workspace", "shop")
    outputs = [
        typed(own_database, *arguments, "--workspace", "shop")
        for arguments in (
            ("campaign", "create", odd, "--name", odd), ("campaign", "list"), ("campaign", "show", odd), ("campaign", "add", odd, odd),
            ("campaign", "add", odd, odd + "!"), ("campaign", "add", odd + "!", odd), ("asset", "list"), ("asset", "show", odd), ("retract", odd),
        )
    ]  # fmt: skip
    for done in outputs:
        text = done.stdout + done.stderr
        assert "\x1b" not in text
        assert "\nchanged spring" not in text
        assert shown.replace("\\n", "\\\\n") in text.replace("\\n", "\\\\n"), text


def test_sums_are_recorded_replaced_and_taken_back_and_so_is_a_deletion(own_database: str) -> None:
    url, of = own_database, ("--workspace", "shop")
    json_of(url, "workspace", "create", "shop")
    json_of(url, "campaign", "create", "spring", "--name", "Spring", *of)
    json_of(url, "campaign", "spend", "spring", "fair", "1200.50", "EUR", "2026-03-01", *of)
    again = json_of(url, "campaign", "spend", "spring", "fair", "1300", "EUR", "2026-03-01", *of)
    assert again["changed"]
    json_of(url, "campaign", "budget", "spring", "fairs", "5000", "EUR", "--name", "Fairs", *of)
    assert json_of(url, "campaign", "show", "spring", *of)["spent"] == [{"amount": "1300.00", "currency": "EUR"}]
    json_of(url, "retract", again["event_id"], *of)
    assert json_of(url, "campaign", "show", "spring", *of)["spent"] == []
    assert "nowhere" in refused(url, "campaign", "spend", "nowhere", "fair", "1", "EUR", "2026-03-01", *of)
    assert "nothing" in refused(url, "campaign", "spend", "spring", "x", "1", "EUR", "2026-03-01", "--asset", "nothing", *of)  # fmt: skip
    deletion = typed(url, "campaign", "delete", "spring", *of)
    assert deletion.returncode == 0, deletion.stderr
    command = deletion.stdout.partition("to take it back: touchline ")[2].split()
    json_of(url, *command)
    assert json_of(url, "campaign", "show", "spring", *of)["deleted_at"] is None
    assert "no event" in refused(url, "retract", "nowhere", *of)


def test_a_workspace_is_made_once_listed_and_configured(own_database: str) -> None:
    json_of(own_database, "workspace", "create", "shop")
    assert "already" in refused(own_database, "workspace", "create", "shop")
    listed = json_of(own_database, "workspace", "list")["items"]
    assert [(item["workspace"], item["name"], item["keys"]) for item in listed] == [("shop", "shop", 4)]
    json_of(
        own_database,
        "workspace",
        "configure",
        "--set",
        "currency=NOK",
        "--set",
        "lookback_days=null",
        "--workspace",
        "shop",
    )
    made = ("--name", "C", "--budget", "10.00", "--workspace", "shop")
    json_of(own_database, "campaign", "create", "c", *made)
    assert json_of(own_database, "campaign", "show", "c", "--workspace", "shop")["budget"]["currency"] == "NOK"
    assert "time_zone" in refused(
        own_database, "workspace", "configure", "--set", "time_zone=Mars", "--workspace", "shop"
    )


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("campaign", "create", "c", "--workspace", "nowhere"), "nowhere"), (("workspace", "create", "a b"), "WORKSPACE"),
        (("workspace", "create", "s", "--name", " "), "can be seen"), (("keys", "create", "--workspace", ""), "--workspace"),
        (("keys", "create", "--workspace", "a b"), "--workspace"), (("workspace", "create", ""), "WORKSPACE"),
        (("workspace", "configure", "--set", "currency", "--workspace", "nowhere"), "NAME=VALUE"),
    ],
)  # fmt: skip
def test_what_is_typed_wrong_is_a_usage_error(database_url: str, arguments: tuple[str, ...], expected: str) -> None:
    done = typed(database_url, *arguments)
    assert (done.returncode, expected in done.stderr) == (2, True), done.stderr
