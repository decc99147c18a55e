"""Stage *cells*: see `apply`."""
