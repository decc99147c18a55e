"""An upgrade to a release with another shape, under traffic: real processes of both releases on one store.

The old release is this project's code, copied, with another `CONTENT`: its tables and rules are the same, so in the end both
must show the same numbers, and its shape is another, so neither can read or project the other's generation.
"""

import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.services import Service, command, environment, fails
from touchline.embedded import Embedded

REPOSITORY = Path(__file__).parents[2]
SOON_S = 120  # a process takes seconds to start on a busy machine
PAUSE_S = 0.05
BATCH = 5
SETTLE_S = 1.0  # of traffic before and after each step
CAMPAIGN = {"type": "campaign_created", "id": "c", "campaign_id": "c", "utm_campaign": "c",
            "occurred_at": "2020-01-01T00:00:00Z"}  # fmt: skip
WORDS = {"type": "workspace_configured", "id": "w", "settings": {"nobody": ["kiosk"]}}
VISIT = {"type": "page_visited", "url": "https://x.example/?utm_campaign=c"}


def soon(holds: Callable[[], Any]) -> Any:
    """What `holds` answers, as soon as that is true."""
    until_s = time.monotonic() + SOON_S
    while not (answer := holds()):
        assert time.monotonic() < until_s, f"not within {SOON_S} s"
        time.sleep(0.05)
    return answer


def old_release(folder: Path) -> Path:
    """A copy of the code whose shape is another one."""
    for name in ("services", "shared", "touchline"):
        shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    file = folder / "shared" / "projection" / "tables.py"
    changed, times = re.subn(r"^CONTENT = (\d+)", r"CONTENT = 1000\1", file.read_text(), flags=re.MULTILINE)
    assert times == 1
    file.write_text(changed)
    return folder


@dataclass
class Traffic:
    """Sends and reads without a pause until it is over; `ingest` and `apis` are where, and may be changed meanwhile."""

    keys: dict[str, str]
    ingest: Service
    apis: list[Service]
    sent: int = 0
    position: str = ""
    reads: dict[str, int] = field(default_factory=dict)
    rounds: list[int] = field(default_factory=lambda: [0, 0])
    """How many rounds the sender and the reader have begun; each round asks whom it knows at its beginning."""
    refused: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)
    clients: dict[str, httpx.Client] = field(default_factory=dict, repr=False)

    def send(self) -> None:
        while not self.over.wait(PAUSE_S):
            self.rounds[0] += 1
            events = [
                VISIT | {"id": f"t-{self.sent + n}", "visitor_id": f"v{(self.sent + n) % 7}"} for n in range(BATCH)
            ]
            answer = self._client(self.ingest, "server").post("/v1/events", json=events)
            if answer.status_code != 202 or answer.json()["rejected"]:
                self.refused.append(f"{answer.status_code}: {answer.text[:300]}")
                return
            self.position, self.sent = answer.json()["position"], self.sent + BATCH

    def read(self) -> None:
        while not self.over.wait(PAUSE_S):
            self.rounds[1] += 1
            for api in list(self.apis):
                answer = self._client(api, "read").get("/v1/campaigns/c/overview")
                if answer.status_code != 200:
                    self.refused.append(f"{api.errors.name}: {answer.status_code}: {answer.text[:300]}")
                    return
                self.reads[api.errors.name] = self.reads.get(api.errors.name, 0) + 1

    def on_the_move(self) -> None:
        """Wait until both have ended the round in which they are, and one more: then nothing waits for a process that was left before."""
        upto = [begun + 2 for begun in self.rounds]
        soon(lambda: self.refused or all(begun >= least for begun, least in zip(self.rounds, upto, strict=True)))

    def _client(self, service: Service, key: str) -> httpx.Client:
        """A connection to a service that stays open, as a proxy's does; a service is asked by one thread alone."""
        if service.url not in self.clients:
            self.clients[service.url] = service.client(self.keys[key])
        return self.clients[service.url]


@dataclass
class Upgrade:
    """What was seen on the way from one release to the other."""

    traffic: Traffic
    before_rebuild: dict[str, Any] = field(default_factory=dict)
    rebuilt: dict[str, Any] = field(default_factory=dict)
    lags: list[dict[str, Any]] = field(default_factory=list)
    shown: list[dict[str, Any]] = field(default_factory=list)
    checksums: list[dict[str, Any]] = field(default_factory=list)
    verified: dict[str, Any] = field(default_factory=dict)
    exit_codes: list[int] = field(default_factory=list)
    status: list[dict[str, Any]] = field(default_factory=list)
    drop_refused: str = ""
    dropped: dict[str, Any] = field(default_factory=dict)
    left: list[str] = field(default_factory=list)


def ask(service: Service, key: str, path: str, **parameters: str) -> tuple[int, dict[str, Any]]:
    with service.client(key) as client:
        answer = client.get(path, params=parameters)
    return answer.status_code, answer.json()


def three(env: dict[str, str], folder: Path, name: str, release: Path | None) -> list[Service]:
    """Ingest, projector and API of a release."""
    services = [
        Service(role, env, folder / f"{name}-{role}", folder=release) for role in ("ingest", "projector", "api")
    ]
    for service in services:
        service.launch()
    for service in services:
        service.until_ready()
    return services


def before_the_rebuild(new: list[Service], keys: dict[str, str]) -> dict[str, Any]:
    """How the new release's processes are while there is no generation of theirs."""
    ingest, projector, api = new
    with ingest.client(keys["server"]) as client:
        odd = client.post("/v1/events", json=[VISIT | {"visitor_id": "kiosk"}]).json()
    return {
        "ready": [ask(service, "", "/readyz")[0] for service in (ingest, projector, api)],
        "why": ask(api, "", "/readyz")[1]["generation"],
        "read": ask(api, keys["read"], "/v1/campaigns/c/overview"),
        "kiosk": odd,
    }


def go(env: dict[str, str], folder: Path, started: list[Service]) -> Upgrade:
    """The whole upgrade, as deploy/README.md tells it."""
    release = old_release(folder / "old-release")
    keys = command(env, "keys", "create", folder=release)["keys"]
    old = three(env, folder, "old", release)
    started += old
    with old[0].client(keys["server"]) as client:
        position = client.post("/v1/events", json=[CAMPAIGN, WORDS]).json()["position"]
    soon(lambda: ask(old[2], keys["read"], "/v1/campaigns/c/overview", after=position)[0] == 200)
    traffic = Traffic(keys, old[0], [old[2]])
    seen = Upgrade(traffic)
    threads = [threading.Thread(target=work) for work in (traffic.send, traffic.read)]
    for thread in threads:
        thread.start()
    try:
        time.sleep(SETTLE_S)
        new = three(env, folder, "new", None)
        started += new
        seen.before_rebuild = before_the_rebuild(new, keys)
        seen.rebuilt = command(env, "replay", "rebuild")
        soon(lambda: all(ask(service, "", "/readyz")[0] == 200 for service in new))
        traffic.apis.append(new[2])
        time.sleep(SETTLE_S)
        traffic.ingest = new[0]
        time.sleep(SETTLE_S)
        both_show_the_same(seen, old, new)
        seen.status.append(command(env, "status"))
        traffic.apis.remove(old[2])
        traffic.on_the_move()  # whatever was asked of the old one is answered
        seen.exit_codes = [service.end() for service in old]
        time.sleep(SETTLE_S)
    finally:
        traffic.over.set()
        for thread in threads:
            thread.join()
        for client in traffic.clients.values():
            client.close()
    after_the_upgrade(seen, env, old, new, release)
    return seen


def both_show_the_same(seen: Upgrade, old: list[Service], new: list[Service]) -> None:
    """What both releases have come to by one position, while more is sent."""
    position, key = seen.traffic.position, seen.traffic.keys["read"]
    for api in (old[2], new[2]):
        code, _ = soon(lambda a=api: (r := ask(a, key, "/v1/status", after=position))[0] == 200 and r)
        assert code == 200
    seen.lags = [ask(release[1], "", "/readyz")[1] for release in (old, new)]


def after_the_upgrade(
    seen: Upgrade, env: dict[str, str], old: list[Service], new: list[Service], release: Path
) -> None:
    """The traffic is over: what the new release shows, what the old one makes of the same log, and what is left of it."""
    key = seen.traffic.keys["read"]
    soon(lambda: ask(new[2], key, "/v1/status", after=seen.traffic.position)[0] == 200)
    seen.shown = [ask(new[2], key, "/v1/campaigns/c/overview")[1]]
    seen.verified = command(env, "replay", "verify")
    old[1].start()  # going back takes no more: what has come since it ended is in the log
    soon(lambda: set(ask(old[1], "", "/readyz")[1].get("lag", {}).values()) == {0})
    assert old[1].end() == 0
    seen.checksums = [command(env, "replay", "checksums", folder=folder) for folder in (release, None)]
    seen.drop_refused = fails(env, "replay", "drop", "g1")
    seen.status.append(command(env, "status"))
    seen.dropped = command(env, "replay", "drop", "g1", "--other-release")
    seen.left = [each["name"] for each in command(env, "replay", "list")["generations"]]


@pytest.fixture(scope="module")
def upgrade(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgrade]:
    folder = tmp_path_factory.mktemp("upgrade")
    embedded = Embedded(folder / "data")
    started: list[Service] = []
    try:
        yield go(environment(embedded.start(), None), folder, started)
    finally:
        for service in started:
            if service.process is not None:
                service.end()
        embedded.stop()


def test_every_event_is_accepted_and_every_read_answered_200_all_the_way(upgrade: Upgrade) -> None:
    assert upgrade.traffic.refused == []
    assert upgrade.traffic.sent > 100
    assert min(upgrade.traffic.reads.values()) > 10
    assert set(upgrade.traffic.reads) == {"old-api", "new-api"}


def test_a_new_release_without_a_generation_says_so_and_takes_events(upgrade: Upgrade) -> None:
    assert upgrade.before_rebuild["ready"] == [200, 503, 503]
    assert "`touchline replay rebuild` makes one" in upgrade.before_rebuild["why"]
    code, body = upgrade.before_rebuild["read"]
    assert (code, body["code"]) == (503, "no_generation")


def test_a_new_release_uses_the_settings_that_the_old_one_knows(upgrade: Upgrade) -> None:
    assert [each["code"] for each in upgrade.before_rebuild["kiosk"]["rejected"]] == ["names_nobody"]


def test_a_rebuild_leaves_the_other_releases_generation_live(upgrade: Upgrade) -> None:
    assert (upgrade.rebuilt["generation"], upgrade.rebuilt["before"]) == ("g2", None)
    result = {each["generation"]: each for each in upgrade.status[0]["generations"]}
    assert (result["g1"]["state"], result["g1"]["this_release"]) == ("live", False)
    assert (result["g2"]["state"], result["g2"]["this_release"]) == ("live", True)


def test_both_projectors_project_side_by_side(upgrade: Upgrade) -> None:
    assert [state["generation"] for state in upgrade.lags] == ["g1", "g2"]
    assert all(set(state["lag"]) == {"0", "1", "2", "3"} for state in upgrade.lags)


def test_in_the_end_the_numbers_are_those_of_what_was_sent(upgrade: Upgrade) -> None:
    assert upgrade.shown[0]["metrics"]["page_views"] == upgrade.traffic.sent
    assert upgrade.verified["equal"]


def test_both_releases_have_the_same_rows_in_the_end(upgrade: Upgrade) -> None:
    old, new = upgrade.checksums
    assert old["digest"] == new["digest"]
    assert old["tables"] == new["tables"]


def test_the_old_release_ends_in_good_order(upgrade: Upgrade) -> None:
    assert upgrade.exit_codes == [0, 0, 0]


def test_what_the_old_release_leaves_is_reported_and_dropped_on_request_alone(upgrade: Upgrade) -> None:
    result = {each["generation"]: each["this_release"] for each in upgrade.status[1]["generations"]}
    assert result == {"g1": False, "g2": True}
    assert "g1 is the live one of another release's shape" in upgrade.drop_refused
    assert upgrade.dropped == {"dropped": "g1"}
    assert upgrade.left == ["g2"]
