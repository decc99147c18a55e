"""How does a list become a table that a spreadsheet opens? CSV after RFC 4180, with one line for each item.

A text that a spreadsheet would run as a formula gets a `'` in front, which makes it a text there; numbers stay as they are.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import orjson
from fastapi import Request
from starlette.datastructures import QueryParams

from services.api.csv_columns import ANY, CSV_COLUMNS, MONEY
from shared.web.accept import quality
from shared.web.parameters import Parameter
from shared.web.problems import Problem

Form = Literal["json", "csv", "csv_with_mark"]
"""How an answer is written. `csv_with_mark` begins with a byte order mark, by which old spreadsheets know UTF-8."""

FORMAT = Parameter(
    "format",
    "`csv`: the list as CSV, as `Accept: text/csv` asks for it too",
    {"type": "string", "enum": ["json", "csv"]},
)
MARK = Parameter(
    "bom", "1: CSV begins with a byte order mark, by which old spreadsheets know UTF-8", {"type": "string", "enum": ["1", "0"]}
)  # fmt: skip
LISTED = (FORMAT, MARK)
"""What a route takes whose answer is a list."""

BYTE_ORDER_MARK = "\ufeff"
FORMULA = re.compile(
    r"[=+\-@\t\r\n＝＋－＠]"
)  # what makes a formula of a cell that begins with it, in some spreadsheet
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?\Z")  # of this a spreadsheet makes a number, and nothing else
BETWEEN = "; "  # stands between the values of a list in one cell
NAME = re.compile(r"[^A-Za-z0-9._-]+")  # not in the name of a file
NAME_CHARACTERS_MAX = 100


def form_of(request: Request) -> Form:
    """How the request wants the answer. Raises a 406 `Problem` if it takes CSV alone and the answer is no list."""
    is_list = FORMAT.name in request.scope["route"].openapi_extra.by_name
    form = request.query_params.get(FORMAT.name) if is_list else None
    if form is None:
        csv_q, csv_named = quality(request, "text/csv")
        json_q, json_named = quality(request, "application/json")
        prefers = csv_named and (csv_q > json_q or (csv_q == json_q > 0 and not json_named))
        if prefers and not is_list:
            if json_q > 0:
                return "json"
            raise Problem(406, "not_acceptable", "this is not a list; it is answered only as application/json")
        form = "csv" if prefers else "json"
    if form == "json":
        return "json"
    return "csv_with_mark" if request.query_params.get(MARK.name) == "1" else "csv"


def csv_of(route_path: str, items: Sequence[Mapping[str, Any]], form: Form) -> bytes:
    """The items of a list as CSV in UTF-8, with a line of the columns' names."""
    columns = _columns(route_path, items)
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow([name for name, *_ in columns])
    for item in items:
        writer.writerow([_cell(_money(item, path, part) if part else _at(item, path)) for _, path, part in columns])
    return ((BYTE_ORDER_MARK if form == "csv_with_mark" else "") + out.getvalue()).encode()


def headers_of(request: Request, body: Mapping[str, Any], position: str) -> dict[str, str]:
    """What JSON has beside the items: the position, and the address of the next page; and the name of the file."""
    name = NAME.sub("-", request.url.path.removeprefix("/v1/")).strip("-")[:NAME_CHARACTERS_MAX] or "list"
    headers = {"Touchline-As-Of": position, "Content-Disposition": f'attachment; filename="{name}.csv"'}
    if body.get("next_cursor"):
        others = [(key, value) for key, value in request.query_params.multi_items() if key != "cursor"]
        query = QueryParams([*others, ("cursor", body["next_cursor"])])
        headers["Link"] = f'<{request.scope["raw_path"].decode()}?{query}>; rel="next"'
    return headers


def items_of(body: Mapping[str, Any], *, first_page: bool = True) -> Sequence[Mapping[str, Any]]:
    """The items of a list's answer; of a report its rows; of a deal's journey its touches, on the first page those with a share too."""
    if "shares" in body:
        return [*(body["shares"] if first_page else ()), *body.get("others", ())]
    items: Sequence[Mapping[str, Any]] | None = body.get("items", body.get("rows"))
    if items is None:
        raise Problem(406, "not_acceptable", "this answer has several lists: ask for one of them, by `kind`")
    return items


def _columns(route_path: str, items: Sequence[Mapping[str, Any]]) -> list[tuple[str, tuple[str, ...], str]]:
    """Name, path and part (`amount` or `currency` of money, else empty) of every column."""
    declared = CSV_COLUMNS.get(route_path)
    if declared is None:
        declared = tuple(dict.fromkeys(field for item in items for field in fields_of(item)))
    out = []
    for column in declared:
        if column.endswith(ANY):
            within = tuple(column.removesuffix(ANY).split("."))
            fields = dict.fromkeys(field for item in items for field in fields_of(_at(item, within) or {}))
            expanded = [".".join((*within, field)) for field in fields]
        else:
            expanded = [column]
        for each in expanded:
            path = each.removesuffix(MONEY)
            parts = ("amount", "currency") if each.endswith(MONEY) else ("",)
            out += [(f"{path}.{part}" if part else path, tuple(path.split(".")), part) for part in parts]
    return out


def fields_of(value: Mapping[str, Any]) -> list[str]:
    """The columns that would hold everything in a JSON object, as `services.api.csv_columns` writes them."""
    out = []
    for name, inner in value.items():
        if _is_money(inner):
            out.append(name + MONEY)
        elif isinstance(inner, Mapping):
            out += [f"{name}.{field}" for field in fields_of(inner)]
        else:
            out.append(name)
    return out


def _is_money(value: Any) -> bool:
    several = value if isinstance(value, list) else [value]
    return bool(several) and all(isinstance(one, Mapping) and one.keys() == {"amount", "currency"} for one in several)


def _at(value: Any, path: Iterable[str]) -> Any:
    """The value at a path within an item; None if there is none."""
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _money(item: Mapping[str, Any], path: Iterable[str], part: str) -> Any:
    """One part of the amounts at a path: one amount as it is, several in the order of the answer."""
    value = _at(item, path)
    several = value if isinstance(value, list) else [] if value is None else [value]
    return [one[part] for one in several]


def _cell(value: Any) -> str:
    """The text of a cell: empty for null, `true` or `false`, a list's values with `; ` between them, anything deeper as JSON."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        text = value
    elif isinstance(value, list) and all(isinstance(one, str) for one in value):
        text = BETWEEN.join(value)
    elif not value:
        return ""
    else:
        text = orjson.dumps(value).decode()
    return "'" + text if FORMULA.match(text) and not NUMBER.match(text) else text
