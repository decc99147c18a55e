"""Is the house kept? Functions fit a screen, files say which question they settle."""

import ast
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
FILES = [
    f for folder in ("shared", "services", "touchline", "benchmarks") for f in sorted((ROOT / folder).rglob("*.py"))
]
LINES_MAX = 70


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_every_function_fits_a_screen(file: Path) -> None:
    functions = [
        n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    long = {f.name: f.end_lineno - f.lineno for f in functions if f.end_lineno and f.end_lineno - f.lineno > LINES_MAX}
    # a route's file has one function that holds its routes; each of those fits by itself
    assert {name: n for name, n in long.items() if name != "routes"} == {}


@pytest.mark.parametrize("file", [f for f in FILES if f.name != "__init__.py"], ids=lambda f: str(f.relative_to(ROOT)))
def test_every_file_says_what_it_settles(file: Path) -> None:
    assert ast.get_docstring(ast.parse(file.read_text()))


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(ROOT)))
def test_no_file_hides_a_circle_of_imports_from_the_interpreter(file: Path) -> None:
    names = {node.id for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Name)}
    assert "TYPE_CHECKING" not in names


def test_every_package_that_pyproject_names_has_one_version_in_the_constraints_that_it_allows() -> None:
    result = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [*result["project"]["optional-dependencies"].values(), *result["dependency-groups"].values()]
    named = [*result["project"]["dependencies"], *(text for group in groups for text in group if isinstance(text, str))]
    versions = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    wanted = [Requirement(text) for text in named]
    assert [r.name for r in wanted if not r.specifier.contains(versions.get(r.name.lower(), "0"))] == []


def test_the_constraints_name_versions_and_no_host() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[\w.]+( ; [\w ._'!=<>()]+)?", line)] == []
