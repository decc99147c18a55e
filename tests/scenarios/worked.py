"""The worked examples of docs/rules.md as scenarios.

A block ```example NAME holds lines of three kinds:

    [YYYY-]MM-DD HH:MM[:SS[.ffffff]] TYPE FIELD=VALUE …
                                                    an event in UTC, of 2024 if no year is given; `for n in 1..3` at the end
                                                    makes three of it, each with its own {n}
    → PATH PATTERN                                  what GET /v1/PATH answers, as a pattern of run.py
    ✗ PATTERN                                       what POST /v1/events says of the event above it, which it refuses

A value is JSON if it begins like it, else a word; a contact may be its id or its email alone, several parted by commas.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RULES = Path(__file__).parents[2] / "docs" / "rules.md"
EVENT = re.compile(
    r"(?:(?P<year>\d{4})-)?(?P<month>\d\d-\d\d) (?P<time>\d\d:\d\d(?::\d\d(?:\.\d+)?)?)\s+(?P<type>\w+)(?P<fields>.*)"
)
REPEATED = re.compile(r"\s+for n in (\d+)\.\.(\d+)$")
FIELD = re.compile(r"\s*(\w+)=")
SECTION = re.compile(r"^\*\*([\w -]+)\*\*", re.MULTILINE)
BLOCK = re.compile(r"^```example ([\w-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass
class Example:
    """A worked example: a scenario, and events that are refused, each with what is said of it."""

    name: str
    rule: str
    events: list[dict[str, Any]] = field(default_factory=list)
    expect: list[dict[str, Any]] = field(default_factory=list)
    refused: list[tuple[dict[str, Any], Any]] = field(default_factory=list)

    @property
    def scenario(self) -> dict[str, Any]:
        return {"name": self.name, "rule": self.rule, "events": self.events, "expect": self.expect}


def examples() -> list[Example]:
    text = RULES.read_text("utf-8")
    rules = [(m.start(), m[1]) for m in SECTION.finditer(text)]
    out = []
    for block in BLOCK.finditer(text):
        example = Example(block[1], [name for start, name in rules if start < block.start()][-1])
        for line in block[2].splitlines():
            _take(example, line)
        out.append(example)
    return out


def _take(example: Example, line: str) -> None:
    if line.startswith("→"):
        path, _, pattern = line[1:].strip().partition(" ")
        example.expect.append({"get": f"/v1/{path}", "has": json.loads(pattern)})
    elif line.startswith("✗"):
        example.refused.append((example.events.pop(), json.loads(line[1:])))
    elif line.strip():
        numbers = range(1)
        if repeated := REPEATED.search(line):
            line = line[: repeated.start()]
            numbers = range(int(repeated[1]), int(repeated[2]) + 1)
        example.events += [event(line.replace("{n}", str(n))) for n in numbers]


def event(line: str) -> dict[str, Any]:
    result = EVENT.fullmatch(line)
    assert result is not None, f"no event: {line}"
    time = result["time"] if result["time"].count(":") > 1 else result["time"] + ":00"
    out: dict[str, Any] = {"type": result["type"], "at": f"{result['year'] or 2024}-{result['month']}T{time}Z"}
    rest = result["fields"]
    while rest.strip():
        name = FIELD.match(rest)
        assert name is not None, f"no field: {rest!r} of {line}"
        value, rest = _value(rest[name.end() :])
        out[name[1]] = _contacts(name[1], value)
    return out


def _value(text: str) -> tuple[Any, str]:
    if text[0] in '{["' or text.startswith(("true", "false", "null")):
        value, end = json.JSONDecoder().raw_decode(text)
        return value, text[end:]
    word, _, rest = text.partition(" ")
    return (int(word) if word.isdecimal() else word), rest


def _contacts(name: str, value: Any) -> Any:
    if name == "contacts" and not isinstance(value, list):
        return [_contact(one) for one in str(value).split(",")]
    return _contact(value) if name in ("contact", "into") and not isinstance(value, dict) else value


def _contact(value: Any) -> dict[str, str]:
    return {"email" if "@" in str(value) else "id": str(value)}
