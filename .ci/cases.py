#!/usr/bin/env python3
"""Play the published reports' inputs against a running Touchline: cases.py FOLDER BASE_URL ADMIN_KEY DATA_DIRECTORY.

FOLDER holds `inputs/`, and beside it lies `scenarios/run.py`, which plays those that are scenarios. Tables go through
`touchline backfill` into a workspace where the campaign `spring` holds the mail that three contacts clicked. Ends with 1 if a
number is not the right one.
"""

import importlib.util
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOUCHLINE = Path(__file__).parent.parent / ".venv/bin/touchline"
NO_SCENARIO = "24-clock-of-the-browser.json"
REFUSED = "15-ids-that-are-nobody.json"  # its events are refused with a code of their own, which is right too
BROWSER = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"  # this program's own would be a machine
)
PROJECTED_S = 60.0
DEALS, CONTACTS = "hubspot-deals", "hubspot-contacts"
TABLES = [  # file or files, mapping, options, exit code of the last, what is right
    (("01-deals-week1.csv", "01-deals-week2.csv"), DEALS, (), 0, {"closed_deals": 12, "influenced_revenue": "3000.00"}),
    # closed in 2023, the fourth deal has no touch before its close, and earns nothing by rule
    (("04-closed-on-the-day-of-creation.csv",), DEALS, ("--zone", "Europe/Oslo"), 0,
     {"closed_deals": 3, "influenced_revenue": "15200.00"}),
    (("17-amounts-of-europe.csv",), DEALS, (), 0, {"closed_deals": 4, "influenced_revenue": "4801.00"}),
    (("19-two-columns-of-one-name.csv",), DEALS, (), 1, {"closed_deals": 0}),
    (("19-row-cut-short.csv",), DEALS, (), 1, {"closed_deals": 1, "influenced_revenue": "100.00"}),
    (("21-contacts-with-more-addresses.csv",), CONTACTS, (), 0, {"influenced_contacts": 3}),
    (("22-stages-of-pipelines.csv",), DEALS, (), 0, {"closed_deals": 4, "influenced_revenue": "15300.00"}),
    (("F2-segment-pages.csv",), "segment-pages", (), 0, {"page_views": 1}),
    (("F7-instants-of-exports.csv",), DEALS, ("--day-first",), 1, {}),
]  # fmt: skip


def main() -> int:
    folder, base, admin, data = Path(sys.argv[1]), *sys.argv[2:5]
    spec = importlib.util.spec_from_file_location("run", folder.parent / "scenarios/run.py")
    assert spec is not None and spec.loader is not None
    run = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(run)
    cases, seed, wrong = Cases(run, folder / "inputs", base, admin, data), random.randrange(2**30), 0
    for file in sorted((folder / "inputs").glob("*.json")):
        for scenario in [] if file.name == NO_SCENARIO else json.loads(file.read_text()):
            if file.name == REFUSED:
                problems = cases.refused(scenario)
            else:
                problems = run.play(base, admin, scenario, seed)
            wrong += say(file.name, problems)
    wrong += say("24 clock of the browser", cases.clock())
    wrong += say("03 time to the minute", cases.minute())
    for files, mapping, options, code, right in TABLES:
        wrong += say(files[-1], cases.table(files, mapping, options, code, right))
    return min(wrong, 1)


def say(name: str, problems: list[str]) -> int:
    print("ok" if not problems else "FAILED", name, *problems, sep="\n    " if problems else " ")
    return bool(problems)


class Cases:
    def __init__(self, run, inputs: Path, base: str, admin: str, data: str) -> None:
        self.run, self.inputs, self.base, self.admin, self.data = run, inputs, base, admin, data

    def workspace(self, events: list[dict]) -> tuple[str, dict, str]:
        status, made = self.run.call(
            self.base, self.admin, "POST", "/v1/workspaces", {"name": "case", "currency": "EUR"}
        )
        assert status == 201, made
        status, sent = self.run.call(self.base, made["keys"]["server"], "POST", "/v1/events", {"events": events})
        assert status == 202 and not sent["rejected"], sent
        return made["workspace"], made["keys"], sent["position"]

    def backfill(self, workspace: str, file: str, mapping: str, options: tuple[str, ...]) -> tuple[int, str]:
        with tempfile.TemporaryDirectory() as folder:  # a backfill writes its state beside its source
            source = shutil.copy(self.inputs / file, folder)
            asked = [
                TOUCHLINE,
                "backfill",
                source,
                "--mapping",
                mapping,
                "--data",
                self.data,
                "--workspace",
                workspace,
                *options,
            ]
            ended = subprocess.run([*map(str, asked)], capture_output=True, text=True, timeout=120)
        return ended.returncode, ended.stdout + ended.stderr

    def differing(self, keys: dict, right: dict) -> list[str]:
        """What the overview has otherwise; what was sent is projected within seconds, on a busy machine within a minute."""
        until_s = time.monotonic() + PROJECTED_S
        while True:
            told = self.run.call(self.base, keys["read"], "GET", "/v1/campaigns/spring/overview")[1]
            got = {name: money(told.get("metrics", {}).get(name)) for name in right}
            if got == right:
                return []
            if time.monotonic() > until_s:
                return [f"right is {right}, got {got}"]
            time.sleep(0.1)

    def table(self, files, mapping: str, options: tuple[str, ...], code: int, right: dict) -> list[str]:
        at = "2024-01-01T00:00:00Z"
        clicks = [{"contact": {"id": c}, "occurred_at": "2024-02-01T00:00:00Z"} for c in ("8001", "8002", "8003")]
        if mapping == CONTACTS:
            clicks += [{"contact": {"email": "kari@old.example"}, "occurred_at": "2024-02-02T00:00:00Z"},
                       {"contact": {"id": "8009"}, "occurred_at": "2024-02-03T00:00:00Z"}]  # fmt: skip
        workspace, keys, _ = self.workspace([
            {"type": "campaign_created", "campaign_id": "spring", "utm_campaign": "spring", "occurred_at": at},
            {"type": "asset_registered", "asset_id": "mail", "asset_type": "marketing_email", "occurred_at": at},
            {"type": "asset_associated", "asset_id": "mail", "campaign_id": "spring", "occurred_at": at},
            *({"type": "email_clicked", "asset_id": "mail", **click} for click in clicks),
        ])  # fmt: skip
        for file in files:
            ended, said = self.backfill(workspace, file, mapping, options)
        if ended != code:
            return [f"exit code {ended}, not {code}", said]
        return self.differing(keys, right)

    def minute(self) -> list[str]:
        scenario = json.loads((self.inputs / "03-minute-precision.json").read_text())[0]
        workspace, keys, _ = self.workspace(self.run.prepared(scenario))
        ended, said = self.backfill(workspace, "03-contacts-to-the-minute.csv", CONTACTS, ())
        if ended:
            return [said]
        time.sleep(2)
        return self.differing(keys, {"new_contacts_first_touch": 1, "new_contacts_last_touch": 1})

    def clock(self) -> list[str]:
        """A browser 20 hours and 26 hours ahead, and 9 days behind: the visit is at about its receipt, and influences."""
        problems = []
        for skew_s in (20 * 3600, 26 * 3600, -9 * 86400):
            at = "2024-01-01T00:00:00Z"
            _, keys, _ = self.workspace([
                {"type": "campaign_created", "campaign_id": "spring", "utm_campaign": "spring", "occurred_at": at}
            ])  # fmt: skip
            there = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + skew_s))
            events = [
                {"type": "page_visited", "visitor_id": "v", "url": "https://shop.example/?utm_campaign=spring",
                 "user_agent": BROWSER, "occurred_at": there},
                {"type": "contact_identified", "visitor_id": "v", "contact": {"email": "kari@example.no"}, "occurred_at": there},
            ]  # fmt: skip
            sent = self.run.call(
                self.base, keys["collect"], "POST", "/v1/events", {"sent_at": there, "events": events}
            )[1]
            soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 300))
            deal = {"deal_id": "d", "occurred_at": soon}
            self.run.call(self.base, keys["server"], "POST", "/v1/events", {"events": [
                {"type": "deal_created", "contacts": [{"email": "kari@example.no"}], "amount": "10", "currency": "EUR", **deal},
                {"type": "deal_closed", "won": True, **deal, "occurred_at": soon.replace("Z", ".5Z")},
            ]})  # fmt: skip
            if sent.get("rejected"):
                problems.append(f"{skew_s} s: {sent['rejected']}")
            problems += self.differing(keys, {"page_views": 1, "influenced_revenue": "10.00"})
        return problems

    def refused(self, scenario: dict) -> list[str]:
        """Ids that name nobody are refused by their own code, and the strangers beside them stay apart."""
        _, keys, _ = self.workspace([{"type": "contact_created", "contact": {"email": "other@example.no"}}])
        events = list(self.run.prepared(scenario))
        sent = self.run.call(self.base, keys["server"], "POST", "/v1/events", {"events": events})[1]
        codes = {refusal["code"] for refusal in sent["rejected"]}
        return [] if codes == {"names_nobody"} and len(sent["rejected"]) == len(events) else [json.dumps(sent)[:500]]


def money(told) -> object:
    """An amount by itself; a list of amounts in one currency as that amount."""
    if isinstance(told, list):
        return told[0]["amount"] if len(told) == 1 else "0.00" if not told else told
    return told


if __name__ == "__main__":
    sys.exit(main())
