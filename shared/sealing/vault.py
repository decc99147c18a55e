"""Whose is a pseudonym? The table `touchline.person` says it, until the person is forgotten.

A row has the keyed digest of a name, the pseudonym that stands for it in the log, and one sealed text: the name, and the seed of
the key that the person's other texts are sealed with. Without the row nobody can tell the name, and nobody can open the texts.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any, Literal

import asyncpg
import msgspec

from shared.database import AWAY, error_text
from shared.log.port import LogUnavailable
from shared.sealing.keys import MasterKey, PersonKey, new_pseudonym, new_seed
from shared.sealing.names import SUFFIX, Name, key_of
from shared.sealing.urls import may_have_values, without_values
from shared.wakeups import Wakeups

CACHED_URLS = 16_384  # about 8 MB; most visits are to few addresses
CACHED_PERSONS = 65_536  # about 60 MB; an hour's visitors of a busy workspace
FORGOTTEN = "forgotten"  # the topic of `shared.wakeups`: caches of persons are dropped
PAGE = 5_000  # names in one statement
# New persons of requests that overlap wait so long for one another: a statement costs as much processor time as ten persons.
TOGETHER_S = 0.02
ATTEMPTS = 3  # at adding names that others add, or free for a new contact, at the same time

Table = Literal["person", "dead_letter"]
"""A table of the schema `touchline` that has rows of forgotten contacts."""

KNOWN = """
SELECT workspace_id, digest, pseudonym, sealed FROM touchline.person WHERE workspace_id = $1 AND digest = ANY($2::text[])
"""
ADD = """
INSERT INTO touchline.person (workspace_id, digest, pseudonym, key, sealed)
SELECT ($1::text[])[u.workspace::int], u.digest, u.pseudonym, u.key::bigint, decode(u.sealed, 'hex')
FROM unnest(string_to_array($2, ','), string_to_array($3, ','), string_to_array($4, ','), string_to_array($5, ','),
    string_to_array($6, ',')) u(workspace, digest, pseudonym, key, sealed)
CROSS JOIN (SELECT CASE WHEN $7 THEN set_config('synchronous_commit', 'off', true) END) quick
ON CONFLICT (workspace_id, digest) DO NOTHING
"""  # texts in place of arrays: asyncpg checks each element of an array, which takes as long as all else
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


class Person(msgspec.Struct, frozen=True, gc=False):
    """A name's pseudonym, and the key that the person's texts are sealed with."""

    pseudonym: str
    key: PersonKey


class KnownPersons(dict[Name, Person]):
    """The persons of a workspace that were met last. Who is not among them is looked for by the vault, and is new until it is kept.

    Use it, and call `Vault.keep`, without waiting for anything in between.
    """

    def __init__(self, met: Callable[[Name], Person]) -> None:
        super().__init__()
        self._met = met

    def __missing__(self, name: Name) -> Person:
        return self._met(Name(*name))


@dataclass(eq=False)
class _Batch:
    """New persons whose rows are written together, by workspace and name; and whether each of them stands as it was made here."""

    kept: "asyncio.Future[bool]"
    new: dict[tuple[str, Name], Person] = field(default_factory=dict)
    calls: int = 0


class Vault:
    """The persons of a store. One instance a process; `wakeups` reports what other processes have forgotten.

    All methods raise `LogUnavailable` while the database is away: an event cannot be sealed then.
    """

    def __init__(
        self, pool: "asyncpg.Pool[asyncpg.Record]", master: MasterKey, wakeups: Wakeups | None, *, durable: bool
    ) -> None:
        """`durable`: a new person's row must be on disk before its event is in the log, which is elsewhere.

        A log in the same database makes it durable with its own commit, which comes after it.
        """
        self._pool, self.master, self._wakeups, self._durable = pool, master, wakeups, durable
        self._recent: dict[str, KnownPersons] = {}
        self._older: dict[str, KnownPersons] = {}
        self._recent_count = self._drops = 0
        self._batch: _Batch | None = None  # that is written next
        self._new: dict[tuple[str, Name], tuple[Person, _Batch]] = {}  # whose row is not written yet
        self._used: set[_Batch] = set()  # since `keep` was called last
        self._asking: asyncio.Task[None] | None = None
        self._url = lru_cache(CACHED_URLS)(self._without_values)
        self._seen_count = 0 if wakeups is None else wakeups.count(FORGOTTEN)
        self._deleting: set[Table] = set()
        self.traces: set[Table] = set()
        """Tables from whose rows this process has deleted something that still stands in their files; see `shared.sealing.vacuum`."""

    def deleted(self, table: Table) -> None:
        """Note, in a transaction, that rows of forgotten contacts are deleted. After its commit `drop_cache` is called."""
        self._deleting.add(table)

    def _drop_what_others_forgot(self) -> None:
        if self._wakeups is not None and (seen_count := self._wakeups.count(FORGOTTEN)) != self._seen_count:
            self._seen_count = seen_count
            self._forget_what_is_remembered()

    def _forget_what_is_remembered(self) -> None:
        self._recent, self._older, self._recent_count = {}, {}, 0
        self._drops += 1

    def drop_cache(self) -> None:
        """Drop what this process remembers, and let other processes do so. Call it after the commit of what was forgotten."""
        self.traces |= self._deleting
        self._deleting.clear()
        self._drop_everywhere()

    def _drop_everywhere(self) -> None:
        self._forget_what_is_remembered()
        if self._wakeups is not None:
            self._wakeups.announce(FORGOTTEN)
            self._seen_count = self._wakeups.count(FORGOTTEN)

    def persons(self, workspace: str) -> KnownPersons:
        """The persons of a workspace by name; who is not known yet gets a pseudonym and a key, which stand once `keep` says so."""
        self._drop_what_others_forgot()
        if (known := self._recent.get(workspace)) is None:
            known = self._recent[workspace] = KnownPersons(partial(self._met, workspace))
        return known

    def _met(self, workspace: str, name: Name) -> Person:
        """A person who was not met lately, perhaps never."""
        if (older := self._older.get(workspace)) is not None and (person := older.get(name)) is not None:
            self._remember(workspace, name, person)
            return person
        if (new := self._new.get((workspace, name))) is None:
            if self._batch is None:
                self._batch = _Batch(asyncio.get_running_loop().create_future())
                self._batch.kept.add_done_callback(lambda kept: kept.cancelled() or kept.exception())
            if self._asking is None:
                self._asking = asyncio.create_task(self._ask_all())
            person = Person(self._pseudonym(workspace, name), PersonKey(new_seed()))
            new = self._new[workspace, name] = person, self._batch
            self._batch.new[workspace, name] = person
        person, batch = new
        self._used.add(batch)
        return person

    def _remember(self, workspace: str, name: Name, person: Person) -> None:
        """Of two halves, the older one is dropped when the newer one is full, so who is met again stays."""
        if self._recent_count >= CACHED_PERSONS // 2:
            self._recent, self._older, self._recent_count = {}, self._recent, 0
        self.persons(workspace)[name] = person
        self._recent_count += 1

    def keep(self) -> Awaitable[bool] | None:
        """Await it before the pseudonyms that `persons` returned since the last call are written to a log; None if there is nothing to await.

        It answers whether all persons are stored with the pseudonyms that were returned. If not, because another process has met one of them
        before, call `persons` again.
        """
        if not self._used:
            return None
        used, self._used = self._used, set()
        for batch in used:
            batch.calls += 1
        return self._all_stand([batch.kept for batch in used])

    @staticmethod
    async def _all_stand(kept: "Sequence[asyncio.Future[bool]]") -> bool:
        """Calls that come while a statement is under way share the next one, so who is cancelled does not take it from the others."""
        return all([await asyncio.shield(each) for each in kept])

    async def _ask_all(self) -> None:
        """Write one batch after the other, and end when nobody is new any more."""
        batch: _Batch | None = None
        try:
            async with self._pool.acquire() as connection:
                while (batch := self._batch) is not None:
                    self._batch = None
                    batch.kept.set_result(await self._keep(connection, batch.new))
                    if batch.calls > 1 or self._batch is not None:
                        await asyncio.sleep(TOGETHER_S)
                self._asking = None  # persons met while the connection is given back start a new statement
        except Exception as error:
            failure = error
            if isinstance(error, (*AWAY, asyncpg.PostgresError)):
                failure = LogUnavailable(f"the names of new persons cannot be sealed: {error_text(error)}")
                failure.__cause__ = error
            self._fail(batch, failure)
        finally:
            if self._asking is asyncio.current_task():
                self._asking = None

    def _fail(self, batch: _Batch | None, error: Exception) -> None:
        """Raise an error for those who wait for a batch, and for those who have asked since."""
        for waiting in (batch, self._batch):
            if waiting is not None and not waiting.kept.done():
                self._no_longer_new(waiting.new)
                waiting.kept.set_exception(error)
        self._batch = None

    def _no_longer_new(self, persons: Iterable[tuple[str, Name]]) -> None:
        for place in persons:
            del self._new[place]

    async def _keep(self, connection: Any, new: Mapping[tuple[str, Name], Person]) -> bool:
        """Write the rows of new persons; answers whether none of them had one. They are remembered, unless somebody is forgotten meanwhile."""
        drops, digest = self._drops, self.master.digest_once
        places = sorted(((workspace, digest(workspace, *name)), name) for workspace, name in new)
        stands = True
        for at in range(0, len(places), PAGE):  # sorted, so that two processes never wait for each other
            names = dict(places[at : at + PAGE])
            persons = await self._written(connection, names, new)
            stands = stands and all(
                person.pseudonym == new[place[0], names[place]].pseudonym for place, person in persons.items()
            )
            if drops == self._drops:
                for place, person in persons.items():
                    self._remember(place[0], names[place], person)
        self._no_longer_new(new)
        return stands

    async def _written(
        self, connection: Any, names: Mapping[tuple[str, str], Name], new: Mapping[tuple[str, Name], Person]
    ) -> dict[tuple[str, str], Person]:
        """The persons of names by workspace and digest: those of the rows that there are, and the new ones, whose rows are written."""
        lacking = {place: new[place[0], name] for place, name in names.items()}
        found: dict[tuple[str, str], Person] = {}
        for _ in range(ATTEMPTS):
            if await self._add(connection, lacking, names):
                return found | lacking
            found |= await self._kept(connection, lacking)
            lacking = {place: person for place, person in lacking.items() if place not in found}
            if not lacking:
                return found
        raise LogUnavailable(f"{len(lacking)} names of persons are changed by others at the same time")

    async def _add(
        self, connection: Any, persons: Mapping[tuple[str, str], Person], names: Mapping[tuple[str, str], Name]
    ) -> bool:
        """Add the rows of persons, by workspace and digest; answers whether none had one."""
        workspaces = {workspace: number for number, workspace in enumerate(dict.fromkeys(w for w, _ in persons), 1)}
        wrap = self.master.wrap
        wrapped = [
            wrap(person.key.seed, names[place].text, _label(place[0], person.pseudonym)).hex()
            for place, person in persons.items()
        ]
        pseudonyms = [person.pseudonym for person in persons.values()]
        status = await connection.execute(
            ADD, list(workspaces), ",".join([str(workspaces[workspace]) for workspace, _ in persons]),
            ",".join([digest for _, digest in persons]), ",".join(pseudonyms),
            ",".join([str(key_of(pseudonym)) for pseudonym in pseudonyms]), ",".join(wrapped), not self._durable,
        )  # fmt: skip
        return bool(status == f"INSERT 0 {len(persons)}")

    async def _kept(self, connection: Any, places: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Person]:
        """The persons that have a row, by workspace and digest."""
        digests = defaultdict(list)
        for workspace, digest in places:
            digests[workspace].append(digest)
        found = {}
        for workspace, of_workspace in digests.items():
            for row in await connection.fetch(KNOWN, workspace, of_workspace):
                seed, _ = self.master.unwrap(row["sealed"], _label(workspace, row["pseudonym"]))
                found[workspace, row["digest"]] = Person(row["pseudonym"], PersonKey(seed))
        return found

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
        return self._url(workspace, url) if may_have_values(url) else url

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
        self._drop_everywhere()


def named(master: MasterKey, rows: Iterable[Any]) -> dict[str, tuple[str, PersonKey]]:
    """What rows of `touchline.person` say, by pseudonym: the name and the key."""
    found = {}
    for row in rows:
        seed, text = master.unwrap(row["sealed"], _label(row["workspace_id"], row["pseudonym"]))
        found[row["pseudonym"]] = text, PersonKey(seed)
    return found


def _label(workspace: str, pseudonym: str) -> str:
    return f"{workspace}\0{pseudonym}"
