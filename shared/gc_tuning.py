"""How often does Python look for garbage? Rarely: a batch makes a hundred thousand rows that hold no cycles."""

import gc


def collect_garbage_rarely() -> None:
    """Let the cyclic garbage collector run rarely.

    Rows live until their batch's commit; collecting while they are made took a third of the projector's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
