"""Which errors are expected? Those whose one-line message says everything that a person needs to know."""


class Foreseen(Exception):
    """An error whose message tells a person what is wrong and what can be done. A command prints it as one line and exits 1."""
