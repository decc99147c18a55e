"""Stage *identity*: see `apply`."""
