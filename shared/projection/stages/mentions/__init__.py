"""Stage *mentions*: see `apply`."""
