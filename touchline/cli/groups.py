"""How are the groups of commands and the commands declared? So that their help needs none of what they work with.

The files of `touchline/cli` hold names, options, arguments and help texts. They import typer and small files of constants alone. What a
command does is in `touchline/commands`, which each command imports when it is run: `touchline --help` then does not wait for the
libraries of a server. The help is plain text, for the library that draws boxes takes as long to import as all of this.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand, TyperGroup

HELP_COLUMNS_MAX = 120  # of a wide terminal: longer lines are hard to read

Function = TypeVar("Function", bound=Callable[..., None])


class Command(TyperCommand):
    """A command that sets up the log lines as the environment says before it runs; its help does not."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse what was typed into the context's parameters. Raises `typer.BadParameter`, but not for a shell's completion."""
        _take_as_typed_for_completion(ctx, self.get_params(ctx))
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command with the arguments that were parsed. Raises what the command raises."""
        from touchline.commands.log_lines import set_up

        set_up("WARNING")
        return super().invoke(ctx)


class Group(TyperGroup):
    """A group whose help shows the whole first sentence of each command's help; typer's own cuts it at the width of a line."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As `Command.parse_args`."""
        parameters = self.get_params(ctx)
        for parameter in parameters:
            if parameter.default is None and getattr(parameter, "is_flag", False):
                parameter.default = False  # typer gives its own flags, such as --help, a None that pydantic would check
        _take_as_typed_for_completion(ctx, parameters)
        return super().parse_args(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the names of the commands and their first sentences, in the order in which they were added."""
        commands = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, _first_sentence(command.help or "")) for name, command in commands if command is not None]
        with formatter.section("Commands"):
            formatter.write_dl(rows)


def _take_as_typed_for_completion(ctx: Any, parameters: list[Any]) -> None:
    """Let values be texts while a shell asks for completions, which depend on no value: to check them takes pydantic."""
    if ctx.resilient_parsing:
        for parameter in parameters:
            parameter.process_value = _as_typed


def _as_typed(_: Any, value: Any) -> Any:
    return value


def _first_sentence(text: str) -> str:
    """The first sentence of a help text, on one line."""
    words = text.strip().split("\n\n")[0].split()
    end = next((n for n, word in enumerate(words, 1) if word.endswith((".", "?"))), len(words))
    return " ".join(words[:end])


def group(about: str, **more: Any) -> typer.Typer:
    """A group of commands; without a command it prints its help. `about` is its help text, `more` goes to `typer.Typer`."""
    return typer.Typer(
        cls=Group, help=about, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
        context_settings={"max_content_width": HELP_COLUMNS_MAX}, **more,
    )  # fmt: skip


def command(app: typer.Typer, name: str) -> Callable[[Function], Function]:
    """Add the decorated function to a group as a command of this name. Its docstring is the help text."""
    return app.command(name, cls=Command)
