"""Which of our campaigns is an advertising platform's campaign? The user's table says it, or else the same id or name."""

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.replay.mapping.errors import BadMapping, UnknownCampaign

FILE_BYTES_MAX = 16 * 1024 * 1024  # some 200,000 campaigns
COLUMNS = ("ad_campaign", "campaign_id")


def _key(text: str) -> str:
    return " ".join(text.split()).casefold()


@dataclass(frozen=True)
class Campaigns:
    """Finds our campaigns. `table` is the user's: from a platform's id or name of a campaign to our id."""

    table: Mapping[str, str] = field(default_factory=dict)
    ids: Mapping[str, Sequence[str]] | None = None
    """The ids of the campaigns created here, by id and name; None where they were not read."""

    def of(self, texts: Sequence[str]) -> str:
        """Our id for a campaign with these texts on the platform. Raises `UnknownCampaign` if none was created, or several match."""
        shown = " / ".join(texts)
        for text in texts:
            if (campaign_id := self.table.get(_key(text))) is not None:
                if self.ids is not None and campaign_id not in self.ids.get(_key(campaign_id), ()):
                    raise UnknownCampaign(
                        f"the table of campaigns says {campaign_id!r} for {shown!r}, but no campaign {campaign_id!r} was created", shown
                    )  # fmt: skip
                return campaign_id
        if self.ids is None:
            return texts[0]
        for text in texts:
            found = self.ids.get(_key(text), ())
            if text in found:
                return text
            if len(found) > 1:
                raise UnknownCampaign(
                    f"{text!r} is the name of several campaigns: {', '.join(found)}; say which one with --campaigns",
                    shown,
                )
            if found:
                return found[0]
        raise UnknownCampaign(
            f"no campaign {shown!r} was created: create it, or say with --campaigns which campaign it is", shown
        )


def known(created: Iterable[tuple[str, str | None]]) -> dict[str, list[str]]:
    """The ids of campaigns, given with their names, by their id and their name in any case."""
    ids: dict[str, list[str]] = defaultdict(list)
    for campaign_id, name in created:
        for key in {_key(campaign_id), _key(name or campaign_id)}:
            if campaign_id not in ids[key]:
                ids[key].append(campaign_id)
    return dict(ids)


def read_table(path: Path) -> dict[str, str]:
    """A CSV file with the columns `ad_campaign` (a platform's id or name of a campaign) and `campaign_id` (ours).

    Raises `OSError`, or `BadMapping` with the line if the file is not such a table.
    """
    with path.open("rb") as file:
        body = file.read(FILE_BYTES_MAX + 1)
    if len(body) > FILE_BYTES_MAX:
        raise BadMapping(f"{path}: more than {FILE_BYTES_MAX:,} bytes; is it a table of campaigns?")
    try:
        lines = body.decode("utf-8-sig").splitlines()
        delimiter = next((sign for sign in ",;\t" if lines and sign in lines[0]), ",")
        rows = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadMapping(f"{path}: it is not a CSV file in UTF-8: {error}") from error
    header = [_key(cell) for cell in rows[0]] if rows else []
    if not set(COLUMNS) <= set(header):
        raise BadMapping(f"{path}: a table of campaigns needs the columns {' and '.join(COLUMNS)}")
    table: dict[str, str] = {}
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        theirs, ours = (row[header.index(name)].strip() if header.index(name) < len(row) else "" for name in COLUMNS)
        if not theirs or not ours:
            raise BadMapping(f"{path}, line {number}: a row needs both {' and '.join(COLUMNS)}")
        if table.setdefault(_key(theirs), ours) != ours:
            raise BadMapping(
                f"{path}, line {number}: {theirs!r} is {table[_key(theirs)]!r} on an earlier line, and {ours!r} here"
            )
    return table
