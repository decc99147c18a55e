"""What can be set from outside? `TOUCHLINE_*` in the environment."""

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The environment's say."""

    model_config = SettingsConfigDict(env_prefix="TOUCHLINE_", extra="ignore")

    database_url: str | None = None
    """`postgresql://…` of a PostgreSQL 15 or later; without it, the data directory holds one of its own."""
