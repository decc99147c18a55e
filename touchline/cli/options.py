"""The options and arguments that several commands take, each with its help text."""

import os
from pathlib import Path
from typing import Annotated

import typer

INSTANT = "INSTANT"  # how the help calls an argument such as 2026-11-25T10:00:00Z

CORES = min(8, os.cpu_count() or 1)  # an embedded PostgreSQL takes 60 connections, half of them the services

Data = Annotated[
    Path | None,
    typer.Option(help="the data directory of an embedded store, which may run or not; without it, the database that TOUCHLINE_DATABASE_URL names"),
]  # fmt: skip
Workspace = Annotated[str, typer.Option(help="the workspace that the command works on")]
AsJson = Annotated[bool, typer.Option("--json", help="print the answer as one JSON line")]

NewData = Annotated[Path, typer.Option(help="the data directory; it is made if there is none")]
Port = Annotated[int, typer.Option(help="the TCP port of the HTTP server; 0 takes a free one")]
Host = Annotated[str, typer.Option(help="the address that the HTTP server listens on")]
ReadyJson = Annotated[bool, typer.Option("--json", help="print one JSON line as soon as requests are answered")]

ReportingPort = Annotated[
    int | None,
    typer.Option(
        min=1, max=65535,
        help="a TCP port of 127.0.0.1 by which the logins of `touchline reporting` also reach the embedded PostgreSQL",
    ),
]  # fmt: skip
Sealed = Annotated[
    bool,
    typer.Option(
        "--sealed",
        help="seal a store that has no events yet, so that people can be forgotten; a store with plain events is not started",
    ),
]

Processes = Annotated[
    int,
    typer.Option(min=1, help="how many processes do the work, if there are many events; with fewer, running services get more of the machine"),
]  # fmt: skip
Generation = Annotated[
    str | None, typer.Option(help="the generation that is read, such as that of a what-if; without it, the live one")
]
