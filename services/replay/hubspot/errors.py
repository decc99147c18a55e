"""Errors of HubSpot's API that stop an import."""

from shared.errors import ExpectedError


class HubSpotRefuses(ExpectedError):
    """HubSpot refuses a request or gives a wrong answer, and repeating would not help; the message says what the user can do."""
