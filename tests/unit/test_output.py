"""What commands print: names hold no control character, no style and no line of their own, whoever gave them."""

import ast
import io
from pathlib import Path

import pytest

from touchline.commands.output import _Terminal, styled, table_of, visible

HOSTILE = "[red]x[/] [link=http://e.example]y[/link] \x1b[31m\x1b]0;title\x07 a\nb\r\u2028\u202ecba\u0085 {0} [/] \\[bold] \x9b2J"
SHOWN = r"[red]x[/] [link=http://e.example]y[/link] \x1b[31m\x1b]0;title\x07 a\nb\r\u2028\u202ecba\x85 {0} [/] \[bold] \x9b2J"
COMMANDS = Path("touchline/commands")


def printed(*objects: object, terminal: bool = False) -> str:
    out = io.StringIO()
    _Terminal(
        file=out, highlight=False, width=400, force_terminal=terminal, color_system="standard" if terminal else None
    ).print(*objects)
    return out.getvalue()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Spring", "Spring"), ("Blåbær 🫐 👩‍👩‍👧 \u00a0x", "Blåbær 🫐 👩‍👩‍👧 \u00a0x"), ("", ""), ("a\tb\0", r"a\tb\x00"), ("\ud800", r"\ud800"),
        ("\x7f\x9b", r"\x7f\x9b"), ("a\u2066b", r"a\u2066b"), (HOSTILE, SHOWN),
    ],
)  # fmt: skip
def test_every_character_of_a_text_shows(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_name_is_printed_as_it_is_on_one_line() -> None:
    for terminal in (False, True):
        assert printed(HOSTILE, terminal=terminal) == SHOWN + "\n"
    assert printed(styled("[bold]{}[/] of {:,}", HOSTILE, 1_000)) == f"{SHOWN} of 1,000\n"
    assert printed(styled("[bold]{}[/]", HOSTILE), terminal=True) == f"\x1b[1m{SHOWN}\x1b[0m\n"
    assert printed(styled("{} {!r}", styled("[green]{}[/]", "[red]"), "[/]")) == "[red] '[/]'\n"


def test_a_name_in_a_table_stays_in_its_cell() -> None:
    table = table_of("name", "kind")
    table.add_row(HOSTILE, styled("[bold]{}[/]", HOSTILE))
    heading, row = printed(table).splitlines()
    assert heading.split() == ["name", "kind"]
    assert [cell for cell in row.split("  ") if cell.strip()] == [SHOWN, SHOWN]


def test_commands_print_by_what_makes_names_fit_and_write_no_name_into_a_template() -> None:
    asked = 0
    for path in COMMANDS.glob("*.py"):
        tree = ast.parse(path.read_text())
        if path.name != "output.py":
            names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
            assert not names & {"escape", "Console"}, path
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            if isinstance(call.func, ast.Name) and call.func.id == "styled":
                asked += 1
                inner = list(ast.walk(call.args[0]))
                assert not any(isinstance(each, ast.JoinedStr | ast.BinOp) for each in inner), (path, call.lineno)
                assert any(isinstance(each, ast.Constant) for each in inner), (path, call.lineno)
    assert asked > 20
