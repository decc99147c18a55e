"""What can be wrong with HubSpot's answers, so that an import cannot go on."""


class HubSpotRefuses(Exception):
    """HubSpot does not answer as it should, and asking again would not help; the message says what a person can do."""
