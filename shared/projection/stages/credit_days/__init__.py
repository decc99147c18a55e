"""Stage *credit_days*: see `apply`."""
