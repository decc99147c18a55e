"""Stage *entities*: see `apply`."""
