"""`touchline demo`: everything that `touchline up` runs, with the events of an invented company."""

import asyncio
import json
from pathlib import Path

import httpx
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from touchline.commands.output import console, styled
from touchline.commands.up import Start, run
from touchline.demo.company import COMPANY
from touchline.demo.mix import YEAR_EVENTS
from touchline.demo.send import Sample, send_history, send_live
from touchline.first_keys import KEYS_FILE


def demo(data: Path, port: int, host: str, *, as_json: bool) -> None:
    """Run everything; send a year of the invented company's events, then live traffic until a signal."""

    async def fill(start: Start) -> None:
        keys = json.loads((start.data / KEYS_FILE).read_text())["keys"]
        sample = await asyncio.to_thread(Sample, start.data)
        headers = {"Authorization": f"Bearer {keys['server']}"}
        async with httpx.AsyncClient(base_url=start.url, headers=headers, timeout=60) as client:
            await _history(client, sample, quiet=as_json)
            address = f"{start.url}/dashboard/campaigns#key={keys['read']}"
            if as_json:
                print(
                    json.dumps({"url": start.url, "dashboard": address, "data": str(start.data), "keys": keys}),
                    flush=True,
                )
            else:
                console.print(styled("[bold]The dashboard:[/] {}", address))
                keys_file = str(start.data / KEYS_FILE)
                console.print(f"To change something there, sign in with the admin key of {keys_file}.")
                console.print("Traffic of today comes in while you look. Stop with Ctrl-C.")
            await send_live(client, sample.live())

    run(data, port, host, as_json=as_json, name=COMPANY, then=fill)


async def _history(client: httpx.AsyncClient, sample: Sample, *, quiet: bool) -> None:
    """Send the events of the sample's year, and wait until they are projected.

    If an earlier run has sent them, they are only made again: the live traffic needs the people and campaigns in them.
    """
    if sample.complete:
        await asyncio.to_thread(lambda: [None for _ in sample.batches()])
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("events"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=quiet) as progress:
        task = progress.add_task("Sending a year", total=YEAR_EVENTS)

        def sent(events: int) -> None:
            progress.advance(task, events)

        position = await send_history(client, sample.batches(), sent)
        progress.update(task, total=progress.tasks[0].completed, description="Counting it     ")
        while (shown := await client.get("/v1/status", params={"after": position})).status_code == 503:
            continue  # each of these reads has waited for the position for some seconds
        shown.raise_for_status()
    sample.done()
