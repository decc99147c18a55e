"""What every EventLog keeps, whatever it is made of. A test of an adapter gives a log and an asyncio runner."""

import asyncio
import os
import random

import pytest

from shared.log.port import Entry, EventLog, LogDamaged, Position, partition_of


class EventLogContract:
    """Subclasses provide the fixtures `log` and `runner`, and `reopened(log)`: the same log through new connections."""

    def name(self, log: EventLog, partition: int) -> str:
        """A workspace that nobody else has, in the given partition."""
        while True:
            name = f"w-{random.getrandbits(48):x}"
            if partition_of(name, log.partitions) == partition:
                return name

    async def everything(self, log: EventLog, workspace: str, from_offset: int = 0) -> list[Entry]:
        partition, out, offset = partition_of(workspace, log.partitions), [], from_offset
        while entries := await log.read(partition, offset, 7):
            out += entries
            offset = entries[-1].offset + 1
        return [entry for entry in out if entry.workspace == workspace]

    def test_what_is_appended_is_read_back_byte_for_byte(self, log: EventLog, runner: asyncio.Runner) -> None:
        async def check() -> None:
            name = self.name(log, 0)
            values = [b"", b"\0\xff", b"x" * 100_000, b'{"a":1}']
            await log.append(name, values)
            assert [e.value for e in await self.everything(log, name)] == values

        runner.run(check())

    def test_it_is_durable_before_it_answers(self, log: EventLog, runner: asyncio.Runner) -> None:
        async def check() -> None:
            name = self.name(log, 0)
            position = await log.append(name, [b"1", b"2"])
            other = await self.reopened(log)
            assert [e.value for e in await self.everything(other, name)] == [b"1", b"2"]
            assert await other.end(position.partition) >= position.offset

        runner.run(check())

    def test_order_is_kept_within_a_workspace(self, log: EventLog, runner: asyncio.Runner) -> None:
        async def check() -> None:
            name = self.name(log, 1)
            for n in range(20):
                await log.append(name, [f"{n}-{i}".encode() for i in range(3)])
            read = [e.value for e in await self.everything(log, name)]
            assert read == [f"{n}-{i}".encode() for n in range(20) for i in range(3)]

        runner.run(check())

    def test_a_position_covers_what_was_accepted_by_then(self, log: EventLog, runner: asyncio.Runner) -> None:
        async def check() -> None:
            name = self.name(log, 1)
            first = await log.append(name, [b"a"])
            second = await log.append(name, [b"b"])
            entries = await self.everything(log, name)
            assert entries[0].offset < first.offset <= entries[1].offset < second.offset
            assert Position.parse(str(second)) == second

        runner.run(check())

    def test_a_reader_never_skips_under_concurrent_appenders(self, log: EventLog, runner: asyncio.Runner) -> None:
        """Readers that follow closely see every offset once, in order, while eight appenders of two processes' logs race."""

        async def check() -> None:
            other = await self.reopened(log)
            names = [self.name(log, 2) for _ in range(8)]
            start = await log.end(2)
            total = 8 * 40 * 3

            async def append(n: int) -> None:
                for i in range(40):
                    await (log, other)[n % 2].append(names[n], [f"{n}.{i}.{k}".encode() for k in range(3)])
                    await asyncio.sleep(0)

            async def follow(reader: EventLog) -> list[int]:
                seen, offset = [], start
                while len(seen) < total:
                    await reader.wait(2, offset, 0.05)
                    for entry in await reader.read(2, offset, 50):
                        seen.append(entry.offset)
                        offset = entry.offset + 1
                return seen

            followers = [asyncio.create_task(follow(reader)) for reader in (log, other)]
            await asyncio.gather(*(append(n) for n in range(8)))
            async with asyncio.timeout(120):
                for seen in await asyncio.gather(*followers):
                    assert seen == list(range(start, start + total))

        runner.run(check())

    @pytest.mark.parametrize("step", [1, 2, 5, 100])
    def test_reading_resumes_at_any_offset(self, log: EventLog, runner: asyncio.Runner, step: int) -> None:
        async def check() -> None:
            name = self.name(log, 3)
            start = await log.end(3)
            for n in range(4):
                await log.append(name, [f"{n}{i}".encode() for i in range(5)])
            wanted = [f"{n}{i}".encode() for n in range(4) for i in range(5)]
            for begin in range(20):
                offset, got = start + begin, []
                while entries := await log.read(3, offset, step):
                    assert len(entries) <= step
                    got += [e.value for e in entries]
                    offset = entries[-1].offset + 1
                assert got == wanted[begin:]

        runner.run(check())

    def test_waiting_ends_when_an_entry_comes_or_time_is_up(self, log: EventLog, runner: asyncio.Runner) -> None:
        async def check() -> None:
            name = self.name(log, 0)
            end = await log.end(0)

            async def comes() -> None:
                while (
                    await log.end(0) <= end
                ):  # a wait may end before its time, as when a log begins to listen for others
                    await log.wait(0, end, 300)

            waiter = asyncio.create_task(comes())
            await asyncio.sleep(0.05)
            assert not waiter.done()
            await log.append(name, [b"x"])
            async with asyncio.timeout(60):
                await waiter
            async with asyncio.timeout(60):
                await log.wait(0, end + 1_000_000, 0.1)

        runner.run(check())

    def test_nothing_appended_is_a_position_too(self, log: EventLog, runner: asyncio.Runner) -> None:
        async def check() -> None:
            name = self.name(log, 0)
            position = await log.append(name, [])
            assert position == Position(0, await log.end(0))

        runner.run(check())

    def test_entries_are_found_at_any_offsets_without_disturbing_the_reader(
        self, log: EventLog, runner: asyncio.Runner
    ) -> None:
        async def check() -> None:
            name = self.name(log, 3)
            start = await log.end(3)
            for n in range(0, 3000, 300):
                await log.append(name, [str(n + i).encode() for i in range(300)])
            offset, seen = start, []
            while entries := await log.read(3, offset, 500):
                offset = entries[-1].offset + 1
                seen += entries
                asked = [start + 2999, start, start + 1500, start + 1501]
                assert [e.value for e in await log.entries(3, asked)] == [b"2999", b"0", b"1500", b"1501"]
            assert [e.offset for e in seen] == list(range(start, start + 3000))
            assert await log.entries(3, []) == []
            with pytest.raises(LogDamaged):
                await log.entries(3, [start + 3000])

        runner.run(check())

    def test_a_reader_that_has_left_may_come_again(self, log: EventLog, runner: asyncio.Runner) -> None:
        async def check() -> None:
            name = self.name(log, 2)
            await log.append(name, [b"a", b"b"])
            first = await self.everything(log, name)
            await log.leave(2)
            assert await self.everything(log, name) == first

        runner.run(check())

    def test_large_values_come_through(self, log: EventLog, runner: asyncio.Runner) -> None:
        """A request may have 10 MB; what it holds is appended whole, and read in order with what follows."""

        async def check() -> None:
            name = self.name(log, 1)
            values = [os.urandom(1_000_000) for _ in range(10)]
            await log.append(name, values)
            await log.append(name, [b"after"])
            assert [e.value for e in await self.everything(log, name)] == [*values, b"after"]

        runner.run(check())

    def test_a_read_that_was_cancelled_loses_nothing(self, log: EventLog, runner: asyncio.Runner) -> None:
        async def check() -> None:
            name = self.name(log, 0)
            start = await log.end(0)
            for n in range(50):
                await log.append(name, [f"{n}.{i}".encode() for i in range(20)])
            offset, seen = start, []
            while len(seen) < 1000:
                reading = asyncio.create_task(log.read(0, offset, 37))
                await asyncio.sleep(random.choice([0, 0, 0.0005, 0.002]))
                reading.cancel()
                await asyncio.wait([reading])
                for entry in await log.read(0, offset, 37):
                    seen.append(entry.offset)
                    offset = entry.offset + 1
            assert seen == list(range(start, start + 1000))

        runner.run(check())

    async def reopened(self, log: EventLog) -> EventLog:
        raise NotImplementedError
