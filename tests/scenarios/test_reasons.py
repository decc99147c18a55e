"""Every reason that an answer can give is documented, and given in a scenario."""

import json
from enum import StrEnum

import pytest

from shared.rules.association import IgnoredAssociation
from shared.rules.channel import Channel
from shared.rules.credit import Uncredited
from shared.rules.deal import DealReason
from shared.rules.excluded_traffic import TrafficClass
from shared.rules.models import Role
from shared.rules.pre_association import KeptOut
from shared.rules.reassociation import NotShown
from shared.rules.report_groups import NoGroup
from shared.rules.visibility import HiddenReason
from tests.scenarios.test_scenarios import SCENARIOS
from tests.scenarios.worked import RULES, examples

ENUMS: list[type[StrEnum]] = [
    Channel,
    DealReason,
    HiddenReason,
    IgnoredAssociation,
    KeptOut,
    NoGroup,
    NotShown,
    Role,
    Uncredited,
]
TRAFFIC_CLASSES = [
    traffic_class.name.lower() for traffic_class in TrafficClass if traffic_class is not TrafficClass.COUNTED
]
REASONS = sorted({str(member) for enum in ENUMS for member in enum} | set(TRAFFIC_CLASSES))
EXPECTED = json.dumps([s["expect"] for s in SCENARIOS] + [e.expect for e in examples()])


@pytest.mark.parametrize("reason", REASONS)
def test_reason_is_documented_and_given(reason: str) -> None:
    prose = RULES.read_text("utf-8").split("```")[::2]
    words = reason.replace("_", " ")
    assert any(reason in text or f"*{words}*" in text for text in prose), "docs/rules.md does not tell of it"
    assert f'"{reason}"' in EXPECTED, "no scenario meets it"
