"""What a process counts in memory is written once a second, and nothing of it is lost when a write fails."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
import msgspec
import pytest

from services.ingest import browser_notices, periodic_writer
from services.ingest.browser_notices import BrowserNotices
from services.ingest.periodic_writer import PeriodicWriter
from shared.access.keys import Access
from shared.events.codec import COLLECT_PREFIX, Record
from shared.store.browser_notices import ARRIVALS_KEPT, Notice

SHOP = "https://shop.example"
FAILS = [ConnectionRefusedError("refused"), asyncpg.PostgresError("no room on the disk")]


@pytest.mark.parametrize("error", FAILS)
def test_what_is_not_written_is_tried_again_until_nothing_is_left(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(periodic_writer, "WRITE_S", 0.001)
    left, tries = 2, 0
    done = asyncio.Event()

    async def write() -> None:
        nonlocal left, tries
        tries += 1
        if tries == 1:
            raise error
        left -= 1
        if not left:
            done.set()

    async def check() -> None:
        soon = PeriodicWriter("numbers", write, lambda: left)
        soon.ask()
        soon.ask()
        await asyncio.wait_for(done.wait(), 60)

    asyncio.run(check())
    assert tries == 3


@pytest.mark.parametrize("error", FAILS)
def test_a_process_ends_though_the_last_write_fails_and_its_log_says_how_much_is_lost(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    async def write() -> None:
        raise error

    async def check() -> None:
        soon = PeriodicWriter("numbers", write, lambda: 3)
        soon.ask()
        await soon.close()

    asyncio.run(check())
    (line,) = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
    assert (line["event"], line["what"], line["lost"]) == ("what was counted is lost", "numbers", 3)


@pytest.mark.parametrize("failing", ["write_notices", "write_arrivals"])
def test_notices_and_arrivals_of_web_pages_are_each_written_once_after_a_write_failed(
    failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = Access("shop", "collect", "tlc_1234")
    written: dict[str, list[Mapping[Any, Any]]] = {"write_notices": [], "write_arrivals": []}
    away = True

    def instead(name: str) -> None:
        async def write(_: object, rows: Mapping[Notice, int] | Mapping[tuple[str, str], Sequence[str]]) -> None:
            if away and name == failing:
                raise ConnectionRefusedError
            if rows:
                written[name].append(dict(rows))

        monkeypatch.setattr(browser_notices, name, write)

    for name in written:
        instead(name)

    def arrive(open_: BrowserNotices, *ids: int) -> None:
        open_.arrived(access, [Record(1, "collect", 0, msgspec.Raw(b"{}"), id=str(n)) for n in ids])

    async def check() -> None:
        nonlocal away
        open_ = BrowserNotices(None)  # type: ignore[arg-type]
        open_.add(access, SHOP, "consent_awaited")
        arrive(open_, 1, 2)
        with pytest.raises(ConnectionRefusedError):
            await open_.write()
        away = False
        open_.add(access, SHOP, "consent_awaited")
        arrive(open_, *range(3, ARRIVALS_KEPT))
        await open_.close()

    asyncio.run(check())
    assert sum(rows[Notice(SHOP, "consent_awaited", "shop", "tlc_1234")] for rows in written["write_notices"]) == 2
    (arrived,) = written["write_arrivals"]
    newest_first = [*reversed(range(3, ARRIVALS_KEPT)), 2, 1]
    assert arrived == {("shop", "tlc_1234"): [f"{COLLECT_PREFIX}{n}" for n in newest_first]}
