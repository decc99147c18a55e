"""Errors of HubSpot's API that stop an import."""

from shared.foreseen import Foreseen


class HubSpotRefuses(Foreseen):
    """HubSpot refuses a request or gives a wrong answer, and repeating would not help; the message says what the user can do."""
