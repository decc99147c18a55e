"""The command `touchline`."""

import typer

from touchline.cli import demo, explain, up

app = typer.Typer(
    name="touchline", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Which campaign earned what, and why. Attribution that a marketing team runs itself.",
)  # fmt: skip
app.command("up")(up.up)
app.command("demo")(demo.demo)
app.add_typer(explain.app, name="explain")


@app.callback()
def main() -> None:
    """Exit codes: 0 done, 1 failed, 2 usage, 3 differences found."""
