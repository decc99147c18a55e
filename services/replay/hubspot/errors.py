"""Errors of HubSpot's API that stop an import."""


class HubSpotRefuses(Exception):
    """HubSpot refuses a request or gives a wrong answer, and repeating would not help; the message says what the user can do."""
