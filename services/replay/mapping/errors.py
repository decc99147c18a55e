"""What can be wrong with a mapping, and with one cell of a table."""


class BadMapping(Exception):
    """A mapping that cannot be used, or not for this file; it says what is wrong and where."""


class BadCell(Exception):
    """A cell, or what it is to become, cannot be read. `field` is the event's, None where it is not known yet."""

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class UnknownCampaign(BadCell):
    """An advertising platform's campaign for which nobody has created one here. `campaign` is what the platform calls it."""

    def __init__(self, message: str, campaign: str, field: str | None = None) -> None:
        super().__init__(message, field)
        self.campaign = campaign
