"""Stage *contacts*: see `apply`."""
