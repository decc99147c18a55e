"""Which mappings come with Touchline? The TOML files in `mappings/`, by their names."""

from pathlib import Path

READY = Path(__file__).with_name("mappings")


def ready_mappings() -> list[str]:
    """The names of the mappings that come with Touchline. `touchline backfill --help` lists them, so this reads no file."""
    return sorted(file.stem for file in READY.glob("*.toml"))
