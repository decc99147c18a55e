"""Whatever fails, every accepted event is counted exactly once, as if nothing had failed.

`python -m tests.chaos` keeps the services under load and lets one thing after another go wrong, in two stages: three brokers, a
PostgreSQL and two processes of each service; then one `touchline up` on a small disk. Every kind of fault is injected, in an
order that `TOUCHLINE_SEED` sets; then they come by chance until the time is over. Each says what it showed. At the end of a
stage everything must be there, and be what a projection from offset 0 makes of it.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.chaos import cluster, one_process
from tests.chaos.checks import check
from tests.chaos.load import positions_of, read, send
from tests.chaos.world import Fault, World, Wrong, fail

SECONDS = float(os.environ.get("TOUCHLINE_CHAOS_S", "600"))
SHARES = {"many": 0.55, "up": 0.45}  # of the time, by stage
SAID_CHARACTERS = 3_000


async def play(world: World, faults: Sequence[Fault], rate_min: float) -> None:
    """Run one stage. Raises `Wrong`, or what else has gone wrong."""
    reading = asyncio.create_task(read(world, await positions_of(world)))
    failing = asyncio.create_task(fail(world, faults))
    sending = asyncio.create_task(send(world))
    tasks = [reading, failing, sending]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Exception):
            raise result
    rate = sending.result()
    print("  sent; waiting until all is projected", flush=True)
    checked = await check(world)
    print(f"faults injected: {world.faults.total()}: " + ", ".join(f"{n} x {kind}" for kind, n in world.faults.items()))
    print(f"sends: {dict(world.answers)}")
    print("\n".join(world.reads.lines()))
    poison = sum(reasons.total() for reasons in world.poison.values())
    print(
        f"{checked:,} events at {rate:,.0f} events/s: accepted = counted, nothing twice, {poison:,} kept aside as they must be, "
        "all tables as from offset 0",
        flush=True,
    )
    if world.reads.failed:
        raise Wrong(f"{len(world.reads.failed)} reads failed otherwise than with a 503: {world.reads.failed[:5]}")
    if rate < rate_min:
        raise Wrong(f"the load was {rate:,.0f} events/s, not {rate_min:,}")
    missed = {fault.name for fault in faults} - set(world.faults)
    if missed:
        raise Wrong(f"never injected: {', '.join(sorted(missed))}")


def run(stage: str, seed: int, only: str) -> None:
    """Run a stage, from nothing to nothing. Raises what has gone wrong, after it has printed the output of the processes."""
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        directory, rng, seconds = Path(name), random.Random(f"{seed} {stage}"), SECONDS * SHARES[stage]
        world: cluster.Many | one_process.Single
        if stage == "many":
            world = cluster.Many(directory, rng, seconds, cluster.EVENTS_PER_S)
        else:
            world = one_process.Single(directory, rng, seconds, one_process.EVENTS_PER_S)
        print(f"stage `{stage}`, {seconds:g} s of load", flush=True)
        try:
            world.start()
            kinds = cluster.FAULTS if isinstance(world, cluster.Many) else one_process.faults(world)
            rate_min = cluster.EVENTS_PER_S_MIN if isinstance(world, cluster.Many) else one_process.EVENTS_PER_S_MIN
            asyncio.run(play(world, [fault for fault in kinds if only in fault.name], rate_min))
        except BaseException:
            for path in filter(Path.exists, world.logs()):
                print(f"--- {path.name}\n{path.read_text()[-SAID_CHARACTERS:]}", file=sys.stderr)
            raise
        finally:
            world.stop()


def main() -> int:
    parser = argparse.ArgumentParser(description="Faults under load; see the head of this file.")
    parser.add_argument("--stage", choices=tuple(SHARES), help="this one alone")
    parser.add_argument("--only", default="", help="faults whose name holds this")
    given = parser.parse_args()
    seed = int(os.environ.get("TOUCHLINE_SEED", random.randrange(2**32)))
    print(f"chaos for {SECONDS:g} s, TOUCHLINE_SEED={seed}", flush=True)
    for stage in SHARES if given.stage is None else (given.stage,):
        try:
            run(stage, seed, given.only)
        except Exception:
            traceback.print_exc()
            print(f"chaos failed in stage `{stage}`, TOUCHLINE_SEED={seed}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
