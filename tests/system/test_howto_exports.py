"""The how-to pages of exports do what they say: their files are made, their commands run, their answers met."""

import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.processes import start

PAGES = Path(__file__).parent.parent.parent / "docs" / "howto"
BLOCK = re.compile(r"^```(?P<kind>file|run|answer)(?: (?P<rest>[^\n]*))?\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
ASKED = re.compile(r"localhost:8300(?P<path>/v1/\S+)` shows\s+`(?P<expected>[^`]+)`")
PROJECTED_S = 60.0


def plain(text: str) -> str:
    return " ".join(text.split())


def run(folder: Path, body: str, exits: int) -> str:
    """Run the commands of a block; what they said, on both outputs."""
    output = ""
    for line in body.splitlines():
        program, *arguments = shlex.split(line)
        assert program == "touchline"
        command = [sys.executable, "-m", "touchline", *arguments]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        output += done.stdout + done.stderr
        assert done.returncode == exits, f"{line}: {output}"
    return plain(output)


@pytest.mark.parametrize("page", ["ad-spend.md", "salesforce.md"])
def test_the_page_does_what_it_says(tmp_path: Path, page: str) -> None:
    text = (PAGES / page).read_text()
    up = start(tmp_path / "data")
    try:
        output, answers = "", 0
        for block in BLOCK.finditer(text):
            if block["kind"] == "file":
                (tmp_path / block["rest"]).write_text(block["body"])
            elif block["kind"] == "run":
                output = run(tmp_path, block["body"], int((block["rest"] or "exits=0").removeprefix("exits=")))
            else:
                for line in block["body"].splitlines():
                    assert plain(line) in output
                    answers += 1
        asked = list(ASKED.finditer(text))
        assert answers
        assert asked
        with up.client("read") as client:
            for one in asked:
                end_s = time.monotonic() + PROJECTED_S
                while one["expected"] not in (body := client.get(one["path"]).text) and time.monotonic() < end_s:
                    time.sleep(0.2)
                assert one["expected"] in body
    finally:
        up.stop()
