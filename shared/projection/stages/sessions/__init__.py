"""Stage *sessions*: see `apply`."""
