"""`python -m benchmarks [ingest] [web] [end-to-end] [freshness] [reads] [reports] [contact] [history] [growth] [settings] [sealing] [rebuild] [rebuild-live] [kafka-…]`: all of them if none is named."""

import asyncio
import itertools
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from benchmarks import kafka, measure, rebuild, sealing
from benchmarks.history import history
from benchmarks.reads import reads
from benchmarks.reports import reports
from benchmarks.settings import settings
from benchmarks.web import web

BENCHMARKS: dict[str, Callable[[Path], Coroutine[Any, Any, None]]] = {
    "ingest": measure.ingest,
    "web": web,
    "end-to-end": measure.end_to_end,
    "freshness": measure.freshness,
    "reads": reads,
    "reports": reports,
    "contact": measure.contact,
    "history": history,
    "growth": measure.growth,
    "settings": settings,
    "sealing": sealing.end_to_end,
    "rebuild": rebuild.rebuild,
    "rebuild-live": rebuild.beside_live_traffic,
    "kafka-ingest": kafka.ingest,
    "kafka-end-to-end": kafka.end_to_end,
    "kafka-freshness": kafka.freshness,
    "kafka-projectors": kafka.projectors,
}


def main() -> None:
    """Run what is named, each on data of its own."""
    named = sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in named if name not in BENCHMARKS]
    if unknown:
        sys.exit(f"there is no benchmark {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}")
    for name, number in zip(named, itertools.count(1), strict=False):
        print(f"[{number}/{len(named)}] {name}", flush=True)
        with tempfile.TemporaryDirectory() as folder:
            asyncio.run(BENCHMARKS[name](Path(folder)))


main()
