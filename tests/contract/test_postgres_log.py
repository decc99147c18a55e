"""The PostgreSQL log keeps the contract of every log."""

import asyncio
import itertools
import os
from collections.abc import Iterator

import httpx
import pytest

from shared.database import open_pool
from shared.log.port import EventLog
from shared.log.postgres import ALONE_MIN, PARTITIONS, SHARED_MAX, PostgresLog
from tests.conftest import new_workspace
from tests.contract.event_log import EventLogContract
from touchline.compose import Running, compose
from touchline.configuration import Configuration

ROWS = "SELECT event_count FROM touchline.event_log WHERE partition = 2 AND base_offset >= $1 ORDER BY base_offset"


class TestPostgresLog(EventLogContract):
    @pytest.fixture(autouse=True)
    def url(self, database_url: str, runner: asyncio.Runner) -> Iterator[None]:
        self._url, self._reopened = database_url, []
        yield
        for pool, log in self._reopened:
            runner.run(log.close())
            runner.run(pool.close())

    @pytest.fixture
    def log(self, running: Running) -> EventLog:
        return running.log

    async def reopened(self, _: EventLog) -> EventLog:
        pool = await open_pool(self._url, 4)
        log = PostgresLog(pool, PARTITIONS)
        self._reopened.append((pool, log))
        return log

    def test_a_read_is_bounded_by_bytes_and_leaves_nothing_out(
        self, log: EventLog, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shared.log.postgres.READ_BYTES_MAX", 100_000)

        async def check() -> None:
            name = self.name(log, 2)
            begin = await log.end(2)
            values = [bytes([n]) * 30_000 for n in range(12)]  # packed, they are a few bytes each
            for value in values:
                await log.append(name, [value])
            read, offset = [], begin
            while entries := await log.read(2, offset, 1_000):
                assert sum(len(entry.value) for entry in entries) <= 130_000
                read += [entry.value for entry in entries if entry.workspace == name]
                offset = entries[-1].offset + 1
            assert read == values

        runner.run(check())

    def test_small_appends_that_are_written_together_share_rows_and_keep_their_places(
        self, log: EventLog, runner: asyncio.Runner
    ) -> None:
        async def check() -> None:
            assert isinstance(log, PostgresLog)
            one, other = self.name(log, 2), self.name(log, 2)
            begin = await log.end(2)
            sent = [  # 200 of one workspace, then a large one, then two workspaces in turn
                *((one, [b"small %d" % n]) for n in range(200)), (one, [b"large %d" % n for n in range(ALONE_MIN)]),
                *(((one, other)[n % 2], [b"turn %d" % n, b"again %d" % n]) for n in range(4)),
            ]  # fmt: skip
            positions = await asyncio.gather(*(log.append(workspace, values) for workspace, values in sent))
            entries = await log.read(2, begin, 1_000)
            assert [(entry.workspace, entry.value) for entry in entries] == [
                (w, v) for w, values in sent for v in values
            ]
            ends = itertools.accumulate((len(values) for _, values in sent), initial=begin)
            assert [position.offset for position in positions] == list(ends)[1:]
            rows = await log._pool.fetch(ROWS, begin)
            assert sum(rows[n]["event_count"] for n in range(len(rows))) == len(entries)
            assert len(rows) <= 1 + 2 + 1 + 4  # the first append may have been written before the others came
            assert max(row["event_count"] for row in rows) == SHARED_MAX

        runner.run(check())

    def test_one_append_that_exceeds_the_bound_is_read_all_the_same(
        self, log: EventLog, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shared.log.postgres.READ_BYTES_MAX", 1_000)

        async def check() -> None:
            name = self.name(log, 2)
            position = await log.append(name, [b"a" * 5_000, b"b" * 5_000])
            for offset in (position.offset - 2, position.offset - 1):
                entries = await log.read(2, offset, 10)
                assert entries[0].offset == offset
                assert entries[-1].offset == position.offset - 1

        runner.run(check())

    def test_packed_bytes_are_bounded_before_they_are_fetched(
        self, log: EventLog, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shared.log.postgres.READ_BYTES_MAX", 50_000)
        monkeypatch.setattr("zstandard.frame_content_size", lambda _: 0)  # only the statement bounds then

        async def check() -> None:
            name = self.name(log, 2)
            begin = await log.end(2)
            for _ in range(8):
                await log.append(name, [os.urandom(20_000)])
            assert len(await log.read(2, begin, 1_000)) == 3

        runner.run(check())

    def test_a_full_disk_is_reported_as_such(self, own_database: str, runner: asyncio.Runner) -> None:
        """PostgreSQL itself raises the error, from a trigger: to fill a disk takes a disk of the test's own."""

        async def check() -> None:
            running = await compose(own_database, Configuration(kafka_bootstrap_servers=None))
            workspace = await new_workspace(running, "full")
            event = {"type": "page_visited", "visitor_id": "v", "url": "https://a.example/"}
            transport = httpx.ASGITransport(running.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://touchline") as client:
                await running.pool.execute(FILL)
                refused = await workspace.send(event)
                assert refused.status_code == 503
                assert refused.json()["code"] == "disk_full"
                assert int(refused.headers["retry-after"]) > 1
                answer = await client.get("/readyz")
                assert answer.status_code == 503
                assert answer.json()["log"] == "unavailable: the disk of the log's database is full"
                await running.pool.execute("DROP TRIGGER fill ON touchline.event_log")
                assert (await workspace.send(event)).status_code == 202
                assert (await client.get("/readyz")).json()["log"] == "ok"
            await running.close()

        runner.run(check())


FILL = """
CREATE FUNCTION touchline.fill() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER fill BEFORE INSERT ON touchline.event_log EXECUTE FUNCTION touchline.fill();
"""
