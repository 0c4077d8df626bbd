"""Risk: declined payments counted by who tries, and by drop; who tried too often is refused, a drop under attack asks
its buyers to authenticate."""

from chalicelib.risk.model import (
    NO_LIMITS,
    DeclineLimits,
    DropRisk,
    RiskRules,
    StepUpRule,
    TooManyDeclines,
    VelocityKey,
    VelocityKind,
    velocity_key,
)
from chalicelib.risk.risk import Risk

__all__ = [
    "NO_LIMITS",
    "DeclineLimits",
    "DropRisk",
    "Risk",
    "RiskRules",
    "StepUpRule",
    "TooManyDeclines",
    "VelocityKey",
    "VelocityKind",
    "velocity_key",
]
