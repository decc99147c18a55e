"""`touchline backfill`: send events of the past from files."""

import glob
import json
from collections import Counter
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import typer
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from services.replay.backfill import Backfill, Refused, Tally
from services.replay.earlier_events import FATES, Compared, EarlierEvents, Fate
from services.replay.mapping.campaigns import read_table
from services.replay.mapping.errors import BadMapping
from services.replay.mapping.numbers import Decimal
from services.replay.mapping.ready import MappingOptions
from services.replay.mapping.ready import mapping as read_mapping
from services.replay.mapping.table import TableMapping, UnmatchedValues
from services.replay.outcome import Deals, Rows
from services.replay.sources import STDIN
from shared.events.currencies import CURRENCIES
from touchline.commands.output import console, errors, errors_in_one_line, styled, visible
from touchline.commands.store import check_workspace, instant, on_database, store_and_log

FATE_SAYS: dict[Fate, str] = {
    "new": "of them new", "duplicates": "of them were there already, unchanged",
    "updated": "of them replace a version with an earlier as_of",
    "superseded": "of them without effect: a version with a later as_of is there",
}  # fmt: skip


@dataclass(frozen=True)
class Given:
    """The options that say how a table is read, as they were typed; None or empty: not given.

    `as_of` is an RFC 3339 instant, `decimal` one of `.` and `,`, `currency` a code such as EUR, `zone` the name of a time zone,
    `campaigns` a CSV file.
    """

    zone: str | None
    as_of: str | None
    day_first: bool
    month_first: bool
    decimal: str | None
    won_stages: list[str]
    lost_stages: list[str]
    currency: str | None
    campaigns: Path | None

    def options(self) -> MappingOptions:
        """The options as a mapping takes them, without the table of campaigns. Raises `typer.BadParameter`."""
        if self.day_first and self.month_first:
            raise typer.BadParameter("it cannot be used together with --month-first", param_hint="--day-first")
        return MappingOptions(
            self.zone, "day_first" if self.day_first else "month_first" if self.month_first else None, _decimal(self.decimal),
            instant(self.as_of, "--as-of"), {"won_stages": self.won_stages, "lost_stages": self.lost_stages}, _currency(self.currency),
        )  # fmt: skip


def backfill(
    sources: list[str], mapping: str | None, given: Given, rate: float, data: Path | None, workspace: str,
    *, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Send the events of files to the log, at most `rate` a second; print what became of them.

    `sources` are paths, patterns, or `-` for standard input; `mapping` is a name or a file. Exits 1 if a row was refused, or if an
    event conflicts with another of its id. Raises `typer.BadParameter`.
    """
    paths = _paths(sources)
    options = given.options()
    with errors_in_one_line():
        read_by = _mapping(
            mapping, options if given.campaigns is None else replace(options, campaigns=read_table(given.campaigns))
        )
    tallies = on_database(data, lambda url: _send(url, paths, workspace, rate, read_by, dry_run=dry_run, quiet=as_json))
    if as_json:
        print(
            json.dumps({"dry_run": dry_run, "sources": {str(path): _as_json(tally) for path, tally in tallies.items()}})
        )
    else:
        _print_text(tallies, dry_run=dry_run)
    if any(tally.refused or tally.compared.conflicts for tally in tallies.values()):
        raise typer.Exit(1)


def _decimal(sign: str | None) -> Decimal | None:
    match sign:
        case None | "." | ",":
            return sign
    raise typer.BadParameter(f"{sign!r} is neither . nor ,", param_hint="--decimal")


def _currency(code: str | None) -> str | None:
    if code is None or code.upper() in CURRENCIES:
        return code and code.upper()
    raise typer.BadParameter(
        f"{code!r} is not a currency; a currency is written as a code such as EUR", param_hint="--currency"
    )


def _mapping(named: str | None, options: MappingOptions) -> TableMapping | None:
    """The mapping that the command names, or None. Raises `BadMapping` if there is none and options for tables are given."""
    if named is not None:
        return read_mapping(named, options=options)
    if options != MappingOptions(lists={name: [] for name in options.lists}):
        raise BadMapping(
            "--zone, --as-of, --day-first, --month-first, --decimal, --won-stage, --lost-stage, --currency and --campaigns go with "
            "--mapping"
        )
    return None


def _paths(sources: list[str]) -> list[Path]:
    """The files that paths and patterns name, each once, in the order given. Raises `typer.BadParameter` if there is none."""
    paths: dict[Path, None] = {}
    for source in sources:
        found = [source] if source == "-" or Path(source).exists() else sorted(glob.glob(source, recursive=True))  # noqa: PTH207 - absolute ones too
        if not found:
            raise typer.BadParameter(f"there is no file {source}", param_hint="FILE")
        paths |= dict.fromkeys(map(Path, found))
    return list(paths)


async def _send(
    url: str,
    paths: list[Path],
    workspace: str,
    rate: float,
    read_by: TableMapping | None,
    *,
    dry_run: bool,
    quiet: bool,
) -> dict[Path, Tally]:
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), TaskProgressColumn(), DownloadColumn(), TransferSpeedColumn(),
        TimeRemainingColumn(),
    )  # fmt: skip
    tallies = {}
    async with store_and_log(url, 3) as (pool, log):
        await check_workspace(pool, workspace)
        known = EarlierEvents(pool, log, workspace)
        with Progress(*columns, console=errors, disable=quiet) as progress:
            for path in paths:
                size = None if path == STDIN else path.stat().st_size
                task = progress.add_task(visible(path.name), total=size)
                sender = Backfill(pool, log, workspace, rate, partial(progress.advance, task), dry_run, read_by, known)
                tallies[path] = await sender.run(path)
                progress.update(task, completed=size, total=size)
    return tallies


def _as_json(tally: Tally) -> dict[str, Any]:
    return {
        "accepted": dict(tally.accepted), "refused": dict(tally.refused), "resumed_at": tally.resumed_at,
        "rows": vars(tally.rows), "skipped": dict(tally.skipped), "lines_before_header": tally.facts.lines_before_header,
        "unknown_campaigns": dict(tally.unknown_campaigns.most_common()), "unmet_values": tally.unmet.as_json(), "missing_columns": tally.facts.missing_columns,
        "deals": tally.deals.as_json(names_contacts=tally.facts.names_contacts) if tally.deals.rows else None,
        "first_refusals": tally.first, **_compared_as_json(tally.compared),
    }  # fmt: skip


def _compared_as_json(compared: Compared) -> dict[str, Any]:
    return {
        "compared": {fate: compared.counts[fate] for fate in FATES}, "first_conflicts": compared.conflicts,
        "not_compared": compared.unknown,
    }  # fmt: skip


def _print_compared(tallies: dict[Path, Tally]) -> None:
    """Print how many events are new, and which conflict with the stored event of their id."""
    all_compared = [tally.compared for tally in tallies.values()]
    counts: Counter[Fate] = sum((compared.counts for compared in all_compared), Counter())
    for fate in FATES:
        if counts[fate] and fate != "conflicts":
            console.print(f"  {counts[fate]:>12,}  {FATE_SAYS[fate]}")
    if counts["conflicts"]:
        errors.print(styled("[red]conflicts[/]: {:,}", counts["conflicts"]))
        errors.print(
            "  an event with the same id and as_of (or none) has other content; one of the two counts, the other is kept as a "
            "dead letter conflicting_duplicate"
        )
    for compared in all_compared:
        for conflict in compared.conflicts:
            errors.print(f"  {conflict['source']}, line {conflict['line']}: {conflict['id']}")
    for unknown in sorted({compared.unknown for compared in all_compared if compared.unknown}):
        errors.print(styled("[yellow]not compared[/]: {}", unknown))


def _print_text(tallies: dict[Path, Tally], *, dry_run: bool) -> None:
    accepted: Counter[str] = sum((tally.accepted for tally in tallies.values()), Counter())
    console.print(styled("[bold]{}[/]: {:,} events", "would be sent" if dry_run else "sent", accepted.total()))
    for name, count in accepted.most_common():
        console.print(f"  {count:>12,}  {name}")
    _print_compared(tallies)
    _print_rows(tallies)
    _print_unmet(tallies)
    _print_campaigns(tallies)
    _print_deals(tallies)
    for missing, paths in _missing(tallies).items():
        where = "" if len(tallies) == 1 else f" ({', '.join(paths)})"
        console.print(styled("[bold]no column[/]: {}", missing + where))
    _print_refused(tallies, dry_run=dry_run)


def _print_rows(tallies: dict[Path, Tally]) -> None:
    rows = Rows()
    for tally in tallies.values():
        rows.add(tally.rows)
    console.print(
        styled(
            "[bold]rows[/]: {:,} read; {:,} became events, {:,} became no event, {:,} were refused",
            rows.read,
            rows.with_events,
            rows.without_events,
            rows.refused,
        )
    )
    if resumed := sum(tally.resumed_at for tally in tallies.values()):
        console.print(f"  {resumed:,} lines before them were sent by an earlier run")
    skipped: Counter[str] = sum((tally.skipped for tally in tallies.values()), Counter())
    for word, count in skipped.most_common():
        console.print(f"  {count:>12,}  of them are not records of the table: {word}")
    if before := sum(tally.facts.lines_before_header for tally in tallies.values()):
        console.print(f"  {before:,} lines before the header were skipped")


def _print_campaigns(tallies: dict[Path, Tally]) -> None:
    """Print the campaigns of an advertising platform that do not exist in the workspace."""
    unknown: Counter[str] = sum((tally.unknown_campaigns for tally in tallies.values()), Counter())
    if not unknown:
        return
    errors.print(styled("[red]campaigns that nobody has created[/]: {:,}; their rows are refused", len(unknown)))
    for campaign, count in unknown.most_common():
        errors.print(f"  {count:>12,}  {campaign}")


def _print_unmet(tallies: dict[Path, Tally]) -> None:
    unmet = UnmatchedValues()
    for tally in tallies.values():
        unmet.add(tally.unmet)
    for column, counts in unmet.as_json().items():
        console.print(styled("[bold]values that no `when` accepts[/] in {}: {:,} rows", column, counts["rows"]))
        for value, count in counts["values"].items():
            console.print(f"  {count:>12,}  {value}")


def _print_deals(tallies: dict[Path, Tally]) -> None:
    deals, names_contacts = Deals(), False
    for tally in tallies.values():
        deals.add(tally.deals)
        names_contacts |= tally.facts.names_contacts
    if not deals.rows:
        return
    counts = deals.as_json(names_contacts=names_contacts)
    console.print(
        styled("[bold]deals[/]: {:,} won, {:,} lost, {:,} open", counts["won"], counts["lost"], counts["open"])
    )
    if counts["without_contact"]:
        why = "" if names_contacts else "; the table has no column that names contacts"
        console.print(f"  {counts['without_contact']:>12,}  without a contact{why}")
    if counts["won_without_amount"]:
        console.print(f"  {counts['won_without_amount']:>12,}  won without an amount: they bring no revenue")
    for reason, count in counts["can_never_count"].items():
        console.print(f"  {count:>12,}  cannot count for any campaign as they are: {reason}")


def _missing(tallies: dict[Path, Tally]) -> dict[str, list[str]]:
    """The optional columns that files lack, each with the names of these files."""
    found: dict[str, list[str]] = {}
    for path, tally in tallies.items():
        for name in tally.facts.missing_columns:
            found.setdefault(name, []).append(path.name)
    return found


def _print_refused(tallies: dict[Path, Tally], *, dry_run: bool) -> None:
    refused: Counter[str] = sum((tally.refused for tally in tallies.values()), Counter())
    if not refused:
        return
    errors.print(styled("[red]refused[/]: {:,}", refused.total()))
    for name, count in refused.most_common():
        errors.print(f"  {count:>12,}  {name}")
    for path, tally in tallies.items():
        for example in tally.first:
            where = f"{example['source']}, line {example['line']}"
            errors.print(f"  {where}: {example['field'] or ''} {example['message']}")
        if tally.refused and not dry_run:
            errors.print(f"  all of them, with their reasons: {Refused(path, None).path}")
