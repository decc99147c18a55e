"""A store of its own for a program that writes what tests compare with."""

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from touchline.embedded import Embedded

T = TypeVar("T")


def on_own_store(work: Callable[[str], Coroutine[Any, Any, T]]) -> T:
    """Run `work` with the URL of an empty database, which is removed afterwards; answers what it answers."""
    with tempfile.TemporaryDirectory() as folder:
        embedded = Embedded(Path(folder))
        try:
            return asyncio.run(work(embedded.start()))
        finally:
            embedded.stop()
