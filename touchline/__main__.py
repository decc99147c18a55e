"""`python -m touchline`."""

from touchline.cli.main import app

app()
