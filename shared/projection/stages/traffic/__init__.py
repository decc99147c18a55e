"""Stage *traffic*: see `apply`."""
