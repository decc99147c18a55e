"""How long does work take the processor? For tests of limits that no busy machine moves."""

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def within_cpu_s(most_s: float) -> Iterator[None]:
    """Fail if the block takes this process more than so many seconds of the processor.

    Python's collector of garbage does not run meanwhile: when it comes, and how long it takes, follows from all tests before.
    """
    gc.disable()
    began_s = time.process_time()
    try:
        yield
        took_s = time.process_time() - began_s
    finally:
        gc.enable()
    assert took_s < most_s, f"it took {took_s:.3f} s of the processor, and may take {most_s:g} s"
