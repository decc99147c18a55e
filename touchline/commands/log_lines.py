"""How does a process of `touchline` write its log lines? As `TOUCHLINE_LOG_FORMAT` and `TOUCHLINE_LOG_LEVEL` say."""

from touchline import logs
from touchline.configuration import Configuration


def set_up(level: str) -> Configuration:
    """Set up the log lines, with this level unless the environment names one; answers the configuration that was read."""
    configuration = Configuration()
    logs.configure(configuration.log_format, configuration.log_level or level)
    return configuration
