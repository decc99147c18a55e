"""Whose is a pseudonym? The table `touchline.person` says it, until the person is forgotten.

A row has the keyed digest of a name, the pseudonym that stands for it in the log, and one sealed text: the name, and the seed of
the key that the person's other texts are sealed with. Without the row nobody can tell the name, and nobody can open the texts.
"""

import asyncio
import os
from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache, partial
from typing import Any, NamedTuple

import asyncpg

from shared.database import AWAY, error_text
from shared.log.port import LogUnavailable
from shared.sealing.addresses import without_values
from shared.sealing.keys import SEED_BYTES, MasterKey, PersonKey, new_pseudonym
from shared.sealing.names import SUFFIX, Name, key_of
from shared.wakeups import Wakeups

CACHED_URLS = 16_384  # about 8 MB; most visits are to few addresses
CACHED_PERSONS = 65_536  # about 60 MB; an hour's visitors of a busy workspace
FORGOTTEN = "forgotten"  # the topic of `shared.wakeups`: caches of persons are dropped
PAGE = 5_000  # names in one statement

KNOWN = """
SELECT workspace_id, digest, pseudonym, sealed FROM touchline.person WHERE workspace_id = $1 AND digest = ANY($2::text[])
"""
KNOWN_OR_ADDED = """
WITH added AS (
    INSERT INTO touchline.person (workspace_id, digest, pseudonym, key, sealed)
    SELECT u.workspace_id, u.digest, u.pseudonym, u.key, u.sealed
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bytea[]) u(workspace_id, digest, pseudonym, key, sealed)
    CROSS JOIN (SELECT CASE WHEN $6 THEN set_config('synchronous_commit', 'off', true) END) quick
    ON CONFLICT (workspace_id, digest) DO NOTHING RETURNING workspace_id, digest)
SELECT workspace_id, digest, NULL AS pseudonym, NULL AS sealed FROM added
UNION ALL SELECT p.workspace_id, p.digest, p.pseudonym, p.sealed
FROM unnest($1::text[], $2::text[]) u(workspace_id, digest) JOIN touchline.person p USING (workspace_id, digest)
"""  # a row that another transaction adds meanwhile is in neither part
NAMED = """
SELECT workspace_id, pseudonym, sealed FROM touchline.person WHERE workspace_id = $1 AND key = ANY($2::bigint[])
"""
HIDE = """
UPDATE touchline.person SET digest = '-' || pseudonym
WHERE workspace_id = $1 AND key = ANY($2::bigint[]) AND left(digest, 1) <> '-'
"""
LIVE = "SELECT name FROM touchline.live_generation"
JOINED = """
WITH ws AS (SELECT ws FROM {g}.workspace_rows WHERE workspace_id = $1), contact AS (
    SELECT DISTINCT i.contact FROM {g}.identifier i JOIN ws USING (ws) WHERE i.identifier = ANY($2::bigint[]))
SELECT i.identifier FROM {g}.identifier i JOIN ws USING (ws) JOIN contact USING (contact)
UNION SELECT o.person FROM {g}.identity_interval o JOIN ws USING (ws) JOIN contact USING (contact)
"""  # all identifiers of the contacts that these identifiers name, and all their visitors


class Person(NamedTuple):
    """A name's pseudonym, and the key that the person's texts are sealed with."""

    pseudonym: str
    key: PersonKey


class _New(NamedTuple):
    """What a name gets that has no row yet: a pseudonym, the seed of its key, and what its row holds."""

    pseudonym: str
    seed: bytes
    sealed: bytes


class _Batch(NamedTuple):
    """Names that are asked for together, each with its workspace, and the task that asks."""

    names: "dict[tuple[str, Name], None]"
    task: "asyncio.Future[dict[tuple[str, Name], Person]]"


class Vault:
    """The persons of a store. One instance a process; `wakeups` tells it what other processes have forgotten.

    All methods raise `LogUnavailable` while the database is away: an event cannot be sealed then.
    """

    def __init__(
        self, pool: "asyncpg.Pool[asyncpg.Record]", master: MasterKey, wakeups: Wakeups | None, *, durable: bool
    ) -> None:
        """`durable`: a new person's row must be on disk before its event is in the log, which is elsewhere.

        A log in the same database makes it durable with its own commit, which comes after it.
        """
        self._pool, self.master, self._wakeups, self._durable = pool, master, wakeups, durable
        self._persons: OrderedDict[tuple[str, Name], Person] = OrderedDict()
        self._drops = 0
        self._batch: _Batch | None = None
        self._turn = asyncio.Lock()
        self._url = lru_cache(CACHED_URLS)(self._without_values)
        self._heard = 0 if wakeups is None else wakeups.count(FORGOTTEN)

    def _drop_what_others_forgot(self) -> None:
        if self._wakeups is not None and (heard := self._wakeups.count(FORGOTTEN)) != self._heard:
            self._heard = heard
            self._forget_what_is_remembered()

    def _forget_what_is_remembered(self) -> None:
        self._persons.clear()
        self._drops += 1

    def drop_cache(self) -> None:
        """Drop what this process remembers, and let other processes do so. Call it after the commit of what was forgotten."""
        self._forget_what_is_remembered()
        if self._wakeups is not None:
            self._wakeups.announce(FORGOTTEN)
            self._heard = self._wakeups.count(FORGOTTEN)

    async def persons(self, workspace: str, names: Collection[Name]) -> dict[Name, Person]:
        """The persons of some names; who is not known yet gets a pseudonym and a key."""
        self._drop_what_others_forgot()
        found: dict[Name, Person] = {}
        unknown: list[Name] = []
        for name in names:
            if (person := self._persons.get((workspace, name))) is None:
                unknown.append(name)
            else:
                self._persons.move_to_end((workspace, name))
                found[name] = person
        if unknown:
            found |= await self._asked(workspace, unknown)
        while len(self._persons) > CACHED_PERSONS:
            self._persons.popitem(last=False)
        return found

    async def _asked(self, workspace: str, names: Sequence[Name]) -> dict[Name, Person]:
        """The persons of names that are not remembered. Calls that come while a statement is under way share the next one."""
        if self._batch is None:
            self._batch = _Batch({}, asyncio.ensure_future(self._ask_together()))
        batch = self._batch
        batch.names.update(dict.fromkeys((workspace, name) for name in names))
        found = await asyncio.shield(batch.task)  # who is cancelled does not take it from the others
        return {name: found[workspace, name] for name in names}

    async def _ask_together(self) -> dict[tuple[str, Name], Person]:
        async with self._turn:
            batch, self._batch = self._batch, None
            assert batch is not None
            names = list(batch.names)
            found: dict[tuple[str, Name], Person] = {}
            for at in range(0, len(names), PAGE):
                found |= await self._ask(names[at : at + PAGE])
            return found

    async def _ask(self, names: Sequence[tuple[str, Name]]) -> dict[tuple[str, Name], Person]:
        """The persons of some names; who has no row yet gets one. They are remembered, unless somebody is forgotten meanwhile."""
        drops = self._drops
        by_digest = {(workspace, self.digest(workspace, name)): (workspace, name) for workspace, name in names}
        places = sorted(by_digest)  # in one order, so that two processes never wait for each other
        workspaces, digests = [workspace for workspace, _ in places], [digest for _, digest in places]
        new = [self._new(*by_digest[place]) for place in places]
        try:
            async with self._pool.acquire() as connection:
                rows = await connection.fetch(
                    KNOWN_OR_ADDED, workspaces, digests, [each.pseudonym for each in new],
                    [key_of(each.pseudonym) for each in new], [each.sealed for each in new], not self._durable,
                )  # fmt: skip
                lacking = by_digest.keys() - {(row["workspace_id"], row["digest"]) for row in rows}
                for workspace, digest in sorted(lacking):
                    rows += await connection.fetch(KNOWN, workspace, [digest])
        except (*AWAY, asyncpg.PostgresError) as error:
            raise LogUnavailable(f"the names of new persons cannot be sealed: {error_text(error)}") from error
        seeds = dict(zip(places, new, strict=True))
        found = {}
        for row in rows:
            place, pseudonym = (row["workspace_id"], row["digest"]), row["pseudonym"]
            if pseudonym is None:
                pseudonym, seed = seeds[place].pseudonym, seeds[place].seed
            else:
                seed, _ = self.master.unwrap(row["sealed"], _label(place[0], pseudonym))
            found[by_digest[place]] = Person(pseudonym, PersonKey(seed))
        if drops == self._drops:
            self._persons.update(found)
        return found

    def _new(self, workspace: str, name: Name) -> _New:
        """A pseudonym and a key for a name, unless it has a row."""
        pseudonym, seed = self._pseudonym(workspace, name), os.urandom(SEED_BYTES)
        return _New(pseudonym, seed, self.master.wrap(seed, name.text, _label(workspace, pseudonym)))

    def digest(self, workspace: str, name: Name) -> str:
        """The keyed digest by which a name is found."""
        return self.master.digest(workspace, name.kind, name.text)

    def _pseudonym(self, workspace: str, name: Name) -> str:
        """A new pseudonym: random for a person; for a text that rules compare, its keyed digest."""
        match name.kind:
            case "d":
                return self.domain(workspace, name.text)
            case "q":
                return self.value(workspace, name.text)
            case "e":
                return f"~e{new_pseudonym()}@{self.domain(workspace, name.text.rpartition('@')[2])}"
            case _:
                return f"~{name.kind}{new_pseudonym()}"

    def domain(self, workspace: str, domain: str) -> str:
        """What stands for the domain of an e-mail address, so that rules can compare it with those of settings."""
        return self.master.digest(workspace, "d", domain) + SUFFIX

    def value(self, workspace: str, text: str) -> str:
        """What stands for a value of a URL's query, or a title, so that equal ones stay equal."""
        return f"~q{self.master.digest(workspace, 'q', text)}"

    def url(self, workspace: str, url: str) -> str:
        """What stands for a URL: keyed digests in place of what no rule reads of its query and its fragment."""
        return self._url(workspace, url) if "=" in url or "#" in url else url

    def _without_values(self, workspace: str, url: str) -> str:
        return without_values(url, partial(self.value, workspace))

    async def known(self, workspace: str, names: Iterable[Name]) -> list[str]:
        """The pseudonyms of those names that the vault has; nothing is added."""
        digests = [self.digest(workspace, name) for name in names]
        try:
            rows = await self._pool.fetch(KNOWN, workspace, digests)
        except (*AWAY, asyncpg.PostgresError) as error:
            raise LogUnavailable(f"the vault of names: {error_text(error)}") from error
        by_digest = {row["digest"]: row["pseudonym"] for row in rows}
        return [by_digest[digest] for digest in digests if digest in by_digest]

    async def names(self, workspace: str, pseudonyms: Collection[str]) -> dict[str, tuple[str, PersonKey]]:
        """The text that each pseudonym stands for, and the person's key; those of forgotten persons are absent."""
        if not pseudonyms:
            return {}
        try:
            rows = await self._pool.fetch(NAMED, workspace, [key_of(pseudonym) for pseudonym in pseudonyms])
        except (*AWAY, asyncpg.PostgresError) as error:
            raise LogUnavailable(f"the vault of names: {error_text(error)}") from error
        return named(self.master, rows)

    async def hide(self, workspace: str, names: Collection[Name]) -> None:
        """From now on these names are of new persons, and so are all that the projection has joined with them.

        `shared.sealing.forget` destroys what there is of the old ones, with what later events have joined with them.
        """
        keys = [key_of(pseudonym) for pseudonym in await self.known(workspace, names)]
        try:
            async with self._pool.acquire() as connection:
                joined = set(keys)
                for (generation,) in await connection.fetch(LIVE):
                    joined |= {row[0] for row in await connection.fetch(JOINED.format(g=generation), workspace, keys)}
                await connection.execute(HIDE, workspace, list(joined))
        except (*AWAY, asyncpg.PostgresError) as error:
            raise LogUnavailable(f"the vault of names: {error_text(error)}") from error
        self.drop_cache()


def named(master: MasterKey, rows: Iterable[Any]) -> dict[str, tuple[str, PersonKey]]:
    """What rows of `touchline.person` say, by pseudonym: the name and the key."""
    found = {}
    for row in rows:
        seed, text = master.unwrap(row["sealed"], _label(row["workspace_id"], row["pseudonym"]))
        found[row["pseudonym"]] = text, PersonKey(seed)
    return found


def _label(workspace: str, pseudonym: str) -> str:
    return f"{workspace}\0{pseudonym}"
