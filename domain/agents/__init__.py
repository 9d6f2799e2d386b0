"""Agents: one file each. They propose; they never decide."""

from collections.abc import Mapping

from domain.agents.agent import ActionLimits, AgentSpec, Grant
from domain.agents.support import SUPPORT

ALL_AGENTS: tuple[AgentSpec, ...] = (SUPPORT,)
AGENTS: Mapping[str, AgentSpec] = {agent.name: agent for agent in ALL_AGENTS}

__all__ = ["AGENTS", "ALL_AGENTS", "SUPPORT", "ActionLimits", "AgentSpec", "Grant"]
