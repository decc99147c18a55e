"""Errors of a mapping, and of one cell of a table."""

from shared.errors import ExpectedError


class BadMapping(ExpectedError):
    """A mapping that cannot be used, or not for this file; the message says what is wrong and where."""


class BadCell(Exception):
    """A cell cannot be read, or gives no valid value. `field` is the field of the event, None where it is not known yet."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class UnknownCampaign(BadCell):
    """An advertising platform's campaign has no counterpart here. `campaign` is the platform's name or id of it."""

    def __init__(self, message: str, campaign: str, field: str | None = None) -> None:
        super().__init__(message, field)
        self.campaign = campaign
