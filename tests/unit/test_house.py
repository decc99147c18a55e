"""Is the house kept? Functions fit a screen, files say which question they settle."""

import ast
from pathlib import Path

import pytest

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
