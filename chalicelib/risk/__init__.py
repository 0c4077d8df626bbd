"""Risk: count declined payments, refuse buyers with too many, and ask for 3-D Secure on a drop under card testing."""

from chalicelib.risk.fraud_rules import (
    NO_LIMITS,
    DeclineLimits,
    DropRisk,
    FraudRules,
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
    "FraudRules",
    "Risk",
    "StepUpRule",
    "TooManyDeclines",
    "VelocityKey",
    "VelocityKind",
    "velocity_key",
]
