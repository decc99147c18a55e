"""Where are the published lists that rules use? In TOML files beside the rules; each names its sources."""

import tomllib
from importlib.resources import files
from typing import Any


def facts(name: str) -> dict[str, Any]:
    """The content of `NAME.toml` beside the rules. A rule reads its file once, when it is imported."""
    return tomllib.loads(files("shared.rules").joinpath(f"{name}.toml").read_text("utf-8"))
