"""`python -m touchline` is the command `touchline`."""

from touchline.cli.main import app

if __name__ == "__main__":
    app()
