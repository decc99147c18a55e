"""One real process for all scenarios; each has a workspace of its own."""

from collections.abc import Iterator

import pytest

from tests.processes import Up, start


@pytest.fixture(scope="package")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    up = start(tmp_path_factory.mktemp("scenarios"))
    yield up
    assert up.stop() == 0
