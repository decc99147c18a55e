"""Stage *admission*: see `apply`."""
