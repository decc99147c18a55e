"""Is a user agent a machine for a workspace? Combines what packages know of it with the workspace's machine rules."""

from functools import lru_cache

from shared.recognition.user_agents import CACHED_AGENTS, known
from shared.rules.excluded_traffic import MachineAgent, MachineRules, machine_agent


@lru_cache(CACHED_AGENTS)
def classify_agent(user_agent: str, rules: MachineRules) -> MachineAgent:
    """How a workspace with these rules classifies the touches of a user agent."""
    return machine_agent(user_agent, known(user_agent), rules)
