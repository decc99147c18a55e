"""Which clicks in a mail did a scanner make?"""

import random

import pytest

from shared.events.instants import SECOND_US
from shared.recognition.user_agents import known
from shared.rules.excluded_traffic import (
    SCAN_BURST_US,
    SCAN_REACHED_US,
    SCAN_URLS_MIN,
    Click,
    MachineRules,
    bursts,
    machine_agent,
    scanned,
)

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36"
)


def by_scanner(clicks: list[tuple[float, str | None]], reached: list[float], opened: list[float]) -> list[int]:
    """The places of the clicks (second, link) that are a scanner's."""
    found = [Click(round(s * SECOND_US), f"e{n:03d}", url) for n, (s, url) in enumerate(clicks)]
    of = [round(s * SECOND_US) for s in reached], [round(s * SECOND_US) for s in opened]
    return sorted(int(i[1:]) for i in scanned(found, bursts(found), *of))


@pytest.mark.parametrize(
    ("clicks", "reached", "opened", "wanted"),
    [
        ([(1, "a"), (2, "b"), (3, "c")], [0], [], [0, 1, 2]),
        ([(0, "a"), (0, "b"), (0, "c")], [0], [], [0, 1, 2]),
        ([(60, "a"), (65, "b"), (70, "c")], [0], [], [0, 1, 2]),
        ([(60, "a"), (65, "b"), (70.000001, "c")], [0], [], []),
        ([(60.000001, "a"), (61, "b"), (62, "c")], [0], [], []),
        ([(1, "a"), (2, "b"), (3, "c")], [1.000001], [], []),
        ([(1, "a"), (2, "b"), (3, "c")], [], [], []),
        ([(1, "a"), (2, "b"), (3, "b")], [0], [], []),
        ([(1, "a"), (2, "b"), (3, None)], [0], [], []),
        ([(1, "a"), (2, "b"), (2.5, None), (3, "c")], [0], [], [0, 1, 2, 3]),
        ([(1, "a"), (2, "b"), (3, "c")], [0], [0.999999], []),
        ([(1, "a"), (2, "b"), (3, "c")], [0], [1], [0, 1, 2]),
        ([(1, "a"), (2, "b"), (3, "c"), (900, "a")], [0], [800], [0, 1, 2]),
        ([(1, "a"), (9, "b"), (11, "c"), (19, "d"), (21, "e")], [0], [], [0, 1, 2, 3, 4]),
        ([(55, "a"), (58, "b"), (61, "c"), (69, "d"), (72, "e")], [0], [], [0, 1, 2]),
        ([(1, "a"), (2, "b"), (500, "c"), (501, "d"), (502, "e")], [0, 490], [], [2, 3, 4]),
        ([], [0], [], []),
    ],
)  # fmt: skip
def test_a_burst_soon_after_a_mail_came_unread_is_a_scanners(
    clicks: list[tuple[float, str | None]], reached: list[float], opened: list[float], wanted: list[int]
) -> None:
    assert by_scanner(clicks, reached, opened) == wanted


@pytest.mark.parametrize("seed", range(200))
def test_sliding_along_finds_what_looking_at_every_click_finds(seed: int) -> None:
    rng = random.Random(seed)
    clicks = sorted((rng.randrange(100), rng.choice("abcde")) for _ in range(rng.randrange(30)))
    reached, opened = [rng.randrange(60) for _ in range(2)], [rng.randrange(120)] if rng.random() < 0.5 else []
    wanted = set()
    for begin, _ in clicks:
        within = [n for n, (s, _) in enumerate(clicks) if begin <= s <= begin + SCAN_BURST_US // SECOND_US]
        if (
            len({clicks[n][1] for n in within}) >= SCAN_URLS_MIN
            and any(0 <= begin - r <= SCAN_REACHED_US // SECOND_US for r in reached)
            and not any(o < begin for o in opened)
        ):
            wanted |= set(within)
    assert by_scanner([*clicks], [*reached], [*opened]) == sorted(wanted)


@pytest.mark.parametrize(
    "agent",
    [
        "Barracuda Sentinel (EE)", "Mozilla/5.0 (compatible; ProofpointURLDefense/1.0)", "Mimecast URL Protect",
        "Microsoft Office SafeLinks Protection", "barracuda", "Mozilla/5.0 (compatible; CiscoSecureEmail)",
    ],
)  # fmt: skip
def test_a_scanner_that_says_so_is_a_machine_unless_it_is_switched_off(agent: str) -> None:
    assert machine_agent(agent, known(agent), MachineRules()) == (True, True)
    assert machine_agent(agent, known(agent), MachineRules(mail_scanners=False)) == (False, False)


def test_a_browser_is_no_scanner_by_its_name() -> None:
    assert machine_agent(CHROME, known(CHROME), MachineRules()) == (False, False)
