"""Is what the documentation names there? Files, links, commands with their options, variables, codes of errors, metrics."""

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import typer

from touchline.cli.main import app
from touchline.configuration import Configuration

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    {*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "deploy/README.md", ROOT / "benchmarks/README.md"}
    - {ROOT / "CHANGELOG.md"}  # it tells of releases that had other names
)
NOW = [page for page in PAGES if page.parent.name != "decisions"]  # decisions tell why it was built so, when it was
FOLDERS = ("shared", "services", "touchline", "tests", "docs", "benchmarks", "deploy", "web")
SOURCES = [file for folder in ("services", "shared", "touchline") for file in sorted((ROOT / folder).rglob("*.py"))]
TOKEN = re.compile(r"(?<![`\w])`([^`\n]+)`")

by_name = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
as_it_is = pytest.mark.parametrize("page", NOW, ids=lambda page: str(page.relative_to(ROOT)))


def files() -> set[str]:
    found = (path for folder in FOLDERS for path in (ROOT / folder).rglob("*") if "node_modules" not in path.parts)
    return {str(path.relative_to(ROOT)) for path in found}


@by_name
def test_every_file_that_a_page_names_by_its_path_is_there(page: Path) -> None:
    named = {each.rstrip("/") for each in TOKEN.findall(page.read_text()) if re.fullmatch(rf"({'|'.join(FOLDERS)})/[\w./*-]*", each)}  # fmt: skip
    there = files() | set(FOLDERS)
    patterns = {re.sub(r"\b[A-Z]{4,}\b", "*", name) for name in named}  # `tests/unit/golden/TYPE.json`
    assert {pattern for pattern in patterns if not any(fnmatch(file, pattern) for file in there)} == set()


@by_name
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    for path, place in re.findall(r"\]\(([^)#\s:]*)(?:#([^)]*))?\)", page.read_text()):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        if place:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert place in {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}, place


def commands() -> dict[tuple[str, ...], set[str]]:
    """The options of every command and group, by its words."""
    found: dict[tuple[str, ...], set[str]] = {}

    def walk(command: Any, words: tuple[str, ...]) -> None:
        found[words] = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        for name, child in getattr(command, "commands", {}).items():
            walk(child, (*words, name))

    walk(typer.main.get_command(app), ())
    return found


def called(text: str) -> Iterator[tuple[list[str], set[str]]]:
    """The words after `touchline` in the code of a page, and the options behind them."""
    code = re.findall(r"^```[a-z]*.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL) + TOKEN.findall(text)
    for line in "\n".join(code).replace("\\\n", " ").splitlines():
        for call in re.split(r" *(?:[#&|;]|\)) *", line):
            if match := re.match(r"(?:\$ |\.venv/bin/)?touchline(?= |$)((?: +[a-z][a-z-]*)*)(.*)", call):
                yield match[1].split(), set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", match[2]))


@as_it_is
def test_every_command_and_option_that_a_page_names_is_there(page: Path) -> None:
    known = commands()
    for words, options in called(page.read_text()):
        command = max((words[:n] for n in range(len(words) + 1) if tuple(words[:n]) in known), key=len)
        assert command or not words, words
        of_group = [
            known[each] for each in known if each[: len(command)] == tuple(command)
        ]  # `touchline explain … --json`
        taken = {"--install-completion"}.union(*of_group)
        assert options <= taken, (words, options - taken)


def test_every_command_is_in_the_table_of_the_wire() -> None:
    text = (ROOT / "docs/wire.md").read_text()
    rows = re.findall(r"^\| (`touchline .*) \| ", text[text.index("| command | does |") :], re.MULTILINE)
    groups = {words[:-1] for words in commands() if words}
    for *group, name in commands().keys() - groups:
        first = f"`touchline {' '.join(group) or name}"
        assert [row for row in rows if first in row and re.search(rf"\b{name}\b", row)], (group, name)


def test_every_variable_of_the_configuration_is_in_the_guide_to_deploying_and_no_other_is() -> None:
    text = (ROOT / "deploy/README.md").read_text()
    result: set[str] = set()
    for row in re.findall(r"^\| (`TOUCHLINE_[^|]*)\|", text, re.MULTILINE):
        names = re.findall(r"`([A-Z_…]+)`", row)
        stem = re.sub(r"[A-Z]+(_A_DAY|)$", "", names[0])  # `TOUCHLINE_KAFKA_SASL_` of `TOUCHLINE_KAFKA_SASL_MECHANISM`
        result |= {name.replace("…_", stem) for name in names}
    assert result == {f"TOUCHLINE_{name.upper()}" for name in Configuration.model_fields}


@as_it_is
def test_every_variable_that_a_page_names_is_read_somewhere(page: Path) -> None:
    read = {f"TOUCHLINE_{name.upper()}" for name in Configuration.model_fields}
    code = "\n".join(path.read_text() for path in [*ROOT.glob("Makefile"), *SOURCES, *(ROOT / "tests").rglob("*.py")])
    read |= set(re.findall(r"\bTOUCHLINE_[A-Z_]+[A-Z]", code))
    named = set(re.findall(r"\bTOUCHLINE_[A-Z_]+[A-Z]\b(?!_?[…*])", page.read_text()))
    assert named - read == set()


def codes() -> dict[str, str]:
    """The codes with which calls are answered, and the files that have them."""
    found: dict[str, str] = {}
    for file in SOURCES:
        if file.parts[-3:-1] == ("touchline", "commands"):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            name = getattr(node.func, "id", "") if isinstance(node, ast.Call) else ""
            place = {"Problem": 1, "CallRefused": 0, "BadRequest": 0}.get(name)
            if isinstance(node, ast.Call) and place is not None and len(node.args) > place:
                code = node.args[place]
                if isinstance(code, ast.Constant) and isinstance(code.value, str):
                    found[code.value] = str(file.relative_to(ROOT))
    return found


def test_every_code_of_an_error_is_in_the_wire() -> None:
    text = (ROOT / "docs/wire.md").read_text()
    assert {code: file for code, file in codes().items() if f"`{code}`" not in text and f" {code}`" not in text} == {}
    assert len(codes()) > 40


@as_it_is
def test_every_metric_that_a_page_names_is_exported(page: Path) -> None:
    code = "\n".join(file.read_text() for file in SOURCES)
    exported = set(re.findall(r'(?:Counter|Gauge|Histogram)\(\s*"(touchline_[a-z_]+)"', code))
    named = {name for name in TOKEN.findall(page.read_text()) if re.fullmatch(r"touchline_[a-z_]+", name)}
    assert {name for name in named if name not in exported and name.removesuffix("_total") not in exported} == set()
