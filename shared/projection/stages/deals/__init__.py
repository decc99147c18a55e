"""Stage *deals*: see `apply`."""
