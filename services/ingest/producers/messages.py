"""What becomes of an outside producer's messages? Their events are checked and appended, and every message is counted."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from services.ingest.events import append
from services.ingest.ingest import Ingest
from services.ingest.refused_events import keep
from shared.access.keys import Access
from shared.events.codec import KeyClass, Record, Refusal
from shared.events.limits import EVENTS_PER_REQUEST_MAX
from shared.log.port import Position
from shared.producers.message import Message, Unmapped, Unreadable, events_of
from shared.rules.acceptance import accept
from shared.store.producer_counts import Outcome

_encode = msgspec.json.Encoder().encode


@dataclass
class MessageOutcomes:
    """What became of the messages of one request: how many were mapped and unmapped, and a refusal for each refused one.

    The index of a refusal is the message's place in the request. `position` is after the last event; None if none was appended.
    """

    mapped: int = 0
    unmapped: int = 0
    refused: list[Refusal] = field(default_factory=list)
    position: Position | None = None


async def take(
    ingest: Ingest, access: Access, producer: str, messages: Sequence[Message], user_agent: str | None = None, *,
    now_us: int | None = None,
) -> MessageOutcomes:  # fmt: skip
    """Check and append the events that the messages mean. Everything is durable when this returns.

    An unmapped message is kept in the log. A refused message is kept as a dead letter, and `touchline dead-letters retry` reads it
    again. A message is refused if one of its events is refused; its other events are appended.
    `user_agent` is the browser's, if a browser sent the request. `now_us` is when the request was received, in microseconds since
    1970; None: now. Raises `LogUnavailable` or one of `AWAY`.
    """
    key: KeyClass = "server" if access.scope == "server" else "collect"
    now_us = time.time_ns() // 1000 if now_us is None else now_us
    accepting = await ingest.accepting.of(access.workspace, time.monotonic())
    taken, counts = MessageOutcomes(), Counter[Outcome]()
    ingest.limits.spend(access, len(messages))
    records: list[Record] = []
    letters: list[tuple[Refusal, bytes]] = []
    for index, message in enumerate(messages):
        refusal: Refusal | None = None
        if isinstance(message.means, Unreadable):
            wrong = message.means
            refusal = Refusal(index, wrong.id, wrong.code, wrong.field, wrong.message)
        else:
            for event in events_of(producer, message):
                outcome = accept(
                    _encode(event),
                    index,
                    key,
                    now_us,
                    user_agent,
                    access.hint,
                    nobody=accepting.nobody,
                    forgets=ingest.forgets,
                )
                outcome = ingest.limits.bounded(access, outcome, index, addresses=accepting.addresses)
                if isinstance(outcome, Record):
                    records.append(outcome)
                else:
                    refusal = refusal or outcome
        if refusal:
            letters.append((refusal, message.sent))
            taken.refused.append(refusal)
            counts[Outcome(producer, message.name, "refused", refusal.code)] += 1
        elif isinstance(message.means, Unmapped):
            taken.unmapped += 1
            counts[Outcome(producer, message.name, "unmapped")] += 1
        else:
            taken.mapped += 1
            counts[Outcome(producer, message.name, "mapped")] += 1
    for begin in range(0, len(records), EVENTS_PER_REQUEST_MAX):  # a message may mean many events
        taken.position = await append(ingest, access.workspace, records[begin : begin + EVENTS_PER_REQUEST_MAX])
    if letters:
        await keep(ingest.pool, access, letters, user_agent, producer=producer)
    ingest.counts.add(access.workspace, counts)
    return taken
