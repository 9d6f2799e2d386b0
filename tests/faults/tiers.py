"""How much is tried, and the least that must have happened for a run to prove anything."""

from dataclasses import dataclass

from tests.faults.nemesis import Plan


@dataclass(frozen=True)
class Tier:
    n: int
    plan: Plan
    least: dict[str, int]
    """Of what was dealt (`kill worker`) and of what the world did (`fault`, `ambiguous`)."""
    fault_rate: float = 0.4
    mail_fault_rate: float = 0.2
    """A mail that did not get through is tried again a minute later."""
    webhooks: bool = True
    """Whether somebody listens."""
    quiet_s: float = 120


def _kills(worker: int, api: int, temporal: int, postgres: int) -> dict[str, int]:
    return {"worker": worker, "api": api, "temporal": temporal, "postgres": postgres}


def _least(kills: dict[str, int], stops: int, faults: int, kinds: int) -> dict[str, int]:
    return {**{f"kill {k}": n for k, n in kills.items()}, "stop": stops, "faults": faults, "kinds of fault": kinds}


SMOKE, CI, FULL = _kills(4, 2, 1, 1), _kills(24, 8, 6, 6), _kills(105, 32, 32, 32)
TIERS = {
    "smoke": Tier(40, Plan(16, SMOKE, 1, stop_s=(1.0, 3.0)), _least(SMOKE, 1, 3, 2), mail_fault_rate=0, quiet_s=40),
    "ci": Tier(200, Plan(120, CI, 4, stop_s=(2.0, 10.0)), _least(CI, 4, 20, 8)),
    "full": Tier(2_000, Plan(1_500, FULL, 12, stop_s=(5.0, 40.0)), _least(FULL, 12, 200, 10), quiet_s=300),
}
