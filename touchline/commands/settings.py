"""How are settings of a workspace read that are given as `NAME=VALUE`? By `workspace configure --set` and `replay what-if --set`."""

from typing import Any

import msgspec
import orjson
import typer

from shared.events.types import SettingsField


def _list_settings() -> frozenset[str]:
    """The names of the settings whose value is a list of texts."""
    fields = msgspec.inspect.type_info(SettingsField).fields  # type: ignore[attr-defined]
    return frozenset(
        field.name
        for field in fields
        if any(isinstance(kind, msgspec.inspect.VarTupleType) for kind in getattr(field.type, "types", ()))
    )


LISTS = _list_settings()


def settings_given(given: list[str]) -> dict[str, Any]:
    """Settings by name. A value is JSON or, if it is not, a text; of a setting that is a list, texts with commas between them.

    Raises `typer.BadParameter`.
    """
    settings: dict[str, Any] = {}
    for one in given:
        name, sign, text = one.partition("=")
        if not sign:
            raise typer.BadParameter(f"{one!r} is not NAME=VALUE", param_hint="--set")
        try:
            settings[name] = orjson.loads(text)
        except orjson.JSONDecodeError:
            settings[name] = text.split(",") if name in LISTS else text
    return settings
