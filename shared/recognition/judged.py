"""What is a user agent to a workspace? What packages know of it, and what the workspace's machine rules make of that."""

from functools import lru_cache

from shared.recognition.user_agents import CACHED_AGENTS, known
from shared.rules.excluded_traffic import MachineAgent, MachineRules, machine_agent


@lru_cache(CACHED_AGENTS)
def judged(user_agent: str, rules: MachineRules) -> MachineAgent:
    """What a user agent is to a workspace with these rules."""
    return machine_agent(user_agent, known(user_agent), rules)
