"""Stage *touches*: see `apply`."""
