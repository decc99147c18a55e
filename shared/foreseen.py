"""Which errors can be foreseen? Those that tell a person all that there is to know in one line."""


class Foreseen(Exception):
    """An error whose message tells a person what is wrong and what can be done. A command prints it as one line and exits 1."""
