"""Which query parameters does a route take? Declared once, beside the route: for the check and for `/openapi.json`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request

from shared.events.limits import URL_CHARACTERS_MAX
from shared.web.problems import Problem

TEXT: Mapping[str, Any] = {"type": "string", "maxLength": URL_CHARACTERS_MAX}


@dataclass(frozen=True)
class Parameter:
    """A query parameter: its description, its JSON Schema, and whether a request may give it several times."""

    name: str
    says: str
    schema: Mapping[str, Any] = field(default_factory=lambda: TEXT)
    required: bool = False
    repeated: bool = False

    @property
    def document(self) -> dict[str, Any]:
        """The parameter as an OpenAPI object."""
        schema = {"type": "array", "items": dict(self.schema)} if self.repeated else dict(self.schema)
        return {"name": self.name, "in": "query", "required": self.required, "description": self.says, "schema": schema}


class Declared(dict[str, Any]):
    """`openapi_extra` of a route, with the parameters that it takes."""

    def __init__(self, parameters: tuple[Parameter, ...]) -> None:
        super().__init__(parameters=[parameter.document for parameter in parameters])
        self.by_name = {parameter.name: parameter for parameter in parameters}


def declared(*parameters: Parameter) -> Declared:
    """The `openapi_extra` of a route that takes these parameters."""
    return Declared(parameters)


def check(request: Request) -> None:
    """Refuse parameters that the request's route does not take, and bad values. Raises a 422 `Problem`."""
    known: dict[str, Parameter] = request.scope["route"].openapi_extra.by_name
    seen = set()
    for name, value in request.query_params.multi_items():
        parameter = known.get(name)
        if parameter is None:
            takes = f"this takes {', '.join(known)}" if known else "this takes none"
            raise Problem(422, "unknown_parameter", f"there is no parameter {name[:100]!r}; {takes}", field=name[:100])
        if name in seen and not parameter.repeated:
            raise Problem(422, "bad_parameter", f"`{name}` is given more than once", field=name)
        seen.add(name)
        _check_text(name, value)
        among = parameter.schema.get("enum")
        if among is not None and value not in among:
            detail = f"`{name}` must be one of {', '.join(among)}, not {value[:100]!r}"
            raise Problem(422, "bad_parameter", detail, field=name)
    for name, value in request.path_params.items():
        _check_text(name, value)


def _check_text(name: str, value: str) -> None:
    if "\0" in value:
        raise Problem(422, "bad_parameter", f"`{name}` holds the character U+0000, which is not allowed", field=name)
    if len(value) > URL_CHARACTERS_MAX:
        raise Problem(422, "bad_parameter", f"`{name}` has more than {URL_CHARACTERS_MAX} characters", field=name)
