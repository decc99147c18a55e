"""Stage *catalog*: see `apply`."""
