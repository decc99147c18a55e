"""The class of expected errors: their one-line message says everything that a person needs to know."""


class ExpectedError(Exception):
    """An error whose message says what is wrong and what a person can do about it. A command prints it as one line and exits 1."""
