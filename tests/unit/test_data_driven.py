"""The data-driven models agree with their definitions, worked out in fractions and by all orders of groups."""

import math
import random
import struct
from collections import Counter
from fractions import Fraction
from itertools import combinations, permutations

import pytest

from shared.projection import walks
from shared.projection.walks import Journeys, Walked, packed, unpacked
from shared.reading import markov
from shared.reading.markov import DIGITS, TooManyGroups, removal_effects
from shared.rules.data_driven import shapley
from shared.rules.report_groups import Group, NoGroup

Path = list[str]
START, WON, NULL = "(start)", "(won)", "(null)"


def conversion(steps: Counter[tuple[str, str]], removed: str | None) -> Fraction:
    """How likely a conversion is from the start, by elimination of one state after another; whatever leads to the removed group leads to null."""
    of: dict[str, Counter[str]] = {}
    for (before, after), count in steps.items():
        of.setdefault(before, Counter())[NULL if after == removed else after] += count
    moves = {
        state: {after: Fraction(n, sum(counts.values())) for after, n in counts.items()} for state, counts in of.items()
    }
    for gone in [state for state in moves if state != START]:
        onward = moves.pop(gone)
        staying = onward.pop(gone, Fraction(0))
        for targets in moves.values():
            share = targets.pop(gone, Fraction(0))
            for after, part in onward.items():
                targets[after] = targets.get(after, Fraction(0)) + share * part / (1 - staying)
    return moves[START].get(WON, Fraction(0))


def effects_of(converted: list[Path], lost: list[Path]) -> dict[str, Fraction]:
    """The removal effects by their definition: the chain is solved anew without each group."""
    steps: Counter[tuple[str, str]] = Counter()
    for paths, end in ((converted, WON), (lost, NULL)):
        for path in paths:
            steps.update(zip([START, *path], [*path, end], strict=True))
    whole = conversion(steps, None)
    groups = sorted({group for path in [*converted, *lost] for group in path})
    return {group: 1 - conversion(steps, group) / whole for group in groups}


def journeys_of(paths: list[list[list[Group]]], order: list[Group]) -> Journeys:
    """Journeys of touches that have several groups each, told group by group in an order."""
    out = Journeys()
    for group in order:
        places = [
            struct.pack(">qi", subject - 3, step)
            for subject, path in enumerate(paths) for step, groups in enumerate(path) if group in groups
        ]  # fmt: skip
        out.add(b"".join(places), group)
    return out


def walk(journeys: Journeys) -> Walked:
    out = Walked()
    journeys.walk(out, *journeys.in_order())
    return out


def walked(paths: list[Path]) -> Walked:
    groups = sorted({group for path in paths for group in path}, reverse=True)
    return walk(journeys_of([[[Group(group)] for group in path] for path in paths], [Group(name) for name in groups]))


def steps_of(paths: list[Path]) -> Counter[tuple[str | None, str | None]]:
    """How often each group follows each on some paths (None: at the beginning, and the end), but for those that follow themselves."""
    out: Counter[tuple[str | None, str | None]] = Counter()
    for path in paths:
        for pair in zip([None, *path], [*path, None], strict=True):
            out[pair] += pair[0] != pair[1]
    return +out


def some_paths(rng: random.Random, count: int, groups: str) -> list[Path]:
    return [[rng.choice(groups) for _ in range(rng.randint(1, 6))] for _ in range(count)]


@pytest.mark.parametrize("seed", range(60))
def test_removal_effects_are_those_of_a_chain_that_is_solved_without_each_group(seed: int) -> None:
    rng = random.Random(seed)
    groups = "abcdefg"[: rng.randint(1, 7)]
    converted, lost = some_paths(rng, rng.randint(1, 8), groups), some_paths(rng, rng.randint(0, 8), groups)
    wanted = effects_of(converted, lost)
    found = removal_effects(walked([*converted, []]), walked([*lost, [], []]))
    assert list(found) == sorted(found)
    assert {group: effect for group, effect in found.items() if effect} == {
        group: pytest.approx(float(effect) * 10**DIGITS, abs=100) for group, effect in wanted.items() if effect
    }


def test_a_group_of_lost_paths_alone_has_no_effect_and_without_conversions_there_are_none() -> None:
    assert removal_effects(walked([["a"]]), walked([["b"]])) == {"a": 10**DIGITS, "b": 0}
    assert removal_effects(walked([]), walked([["a"], ["b"]])) == {}
    assert removal_effects(walked([[]]), walked([])) == {}


def test_a_group_that_follows_itself_a_million_times_changes_no_digit() -> None:
    once = removal_effects(walked([["a", "b"], ["b"], ["c"]]), walked([["b", "a"], ["c"]]))
    assert removal_effects(walked([["a", *["b"] * 10**6], ["b"], ["c"]]), walked([["b", "a"], ["c"]])) == once


def test_a_chain_of_too_many_groups_is_refused_if_there_is_a_conversion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(markov, "GROUPS_MAX", 2)
    assert len(removal_effects(walked([["a", "b"]]), walked([]))) == 2
    assert removal_effects(walked([]), walked([["a", "b", "c"]])) == {}
    with pytest.raises(TooManyGroups, match="3 groups"):
        removal_effects(walked([["a", "b"]]), walked([["c"]]))


@pytest.mark.parametrize("seed", range(60))
def test_steps_are_those_of_the_paths_whose_touches_have_several_groups_or_none(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(seed)
    monkeypatch.setattr(walks, "ROWS_MAX", rng.choice([1, 5, 100]))
    none = Group(None, NoGroup.NO_CAMPAIGN)
    groups = [Group(name) for name in "abcde"[: rng.randint(1, 5)]]
    journeys = [
        [sorted(rng.sample(groups, rng.randint(1, len(groups)))) if rng.random() < 0.7 else [none] for _ in range(rng.randint(0, 6))]
        for _ in range(rng.randint(0, 8))
    ]  # fmt: skip
    paths = [[group.name for touch in journey for group in touch if group.name is not None] for journey in journeys]
    found = walk(journeys_of(journeys, [*groups, none]))
    assert found.counts() == steps_of(paths)
    assert sorted(found.names) == sorted({name for path in paths for name in path})
    half = len(journeys) // 2
    both = walk(journeys_of(journeys[:half], [none, *groups]))
    other = walk(journeys_of(journeys[half:], [*groups, none]))
    both.add(other.names, unpacked(packed(other.steps)))
    assert both.counts() == steps_of(paths)


def worth(deals: list[tuple[int, Path]], groups: frozenset[str]) -> int:
    return sum(amount for amount, path in deals if set(path) <= groups)


@pytest.mark.parametrize("seed", range(30))
def test_shapley_is_the_mean_of_what_a_group_adds_in_all_orders(seed: int) -> None:
    rng = random.Random(seed)
    groups = "abcd"
    amounts = [rng.randint(-900, 900) * 12 for _ in range(6)]  # so that no part is rounded
    deals = list(zip(amounts, some_paths(rng, 6, groups), strict=True))
    found: Counter[str] = Counter()
    for amount, path in deals:
        for group, part in shapley(amount, [Group(name) for name in path]).items():
            found[group.name or ""] += part
    for group in groups:
        added = sum(
            worth(deals, frozenset(order[: order.index(group) + 1]))
            - worth(deals, frozenset(order[: order.index(group)]))
            for order in permutations(groups)
        )
        assert found[group] * math.factorial(len(groups)) == added


@pytest.mark.parametrize("amount", [100, -100, 0, 1])
def test_shapley_gives_the_first_groups_of_a_path_a_unit_more_and_adds_up(amount: int) -> None:
    none, other = Group(None, NoGroup.NO_CAMPAIGN), Group(None, NoGroup.NO_OWNER)
    parts = shapley(amount, [none, *map(Group, "babc"), other])
    assert list(parts) == [Group("b"), Group("a"), Group("c")]
    assert sum(parts.values()) == amount
    assert all(abs(one) >= abs(other) for one, other in combinations(parts.values(), 2))
    assert shapley(amount, [other, none]) == {other: amount}
    assert shapley(amount, []) == {}
