"""The sample of `touchline demo`: the year is the same at every start, and the visits of now are never those of another start."""

import datetime as dt
from pathlib import Path

from touchline.demo.send import Sample

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)


def test_the_year_says_nothing_of_how_late_events_come(tmp_path: Path) -> None:
    sample = Sample(tmp_path)
    answer = {event.get("as_of") for event in next(sample.batches())}
    assert answer == {sample.end.isoformat(timespec="milliseconds").replace("+00:00", "Z")}
    assert not [event for event in sample.live().visit(NOW) if "as_of" in event]


def ids(sample: Sample) -> list[str]:
    mix = sample.live()
    return [str(event["id"]) for _ in range(20) for event in mix.visit(NOW)]


def test_a_second_start_makes_the_same_year_and_visits_with_other_ids(tmp_path: Path) -> None:
    one, other = Sample(tmp_path), Sample(tmp_path)
    assert next(one.batches()) == next(other.batches())
    assert not set(ids(one)) & set(ids(other))
