"""Risk: declined payments counted by who tries, and by drop; who tried too often is refused, a drop under attack asks
its buyers to authenticate."""

from chalicelib.risk.desk import Risk
from chalicelib.risk.model import (
    NOTHING_LIMITED,
    DeclineLimits,
    DropRisk,
    Kind,
    Mark,
    RiskRules,
    StepUpRule,
    TooMany,
    mark,
)

__all__ = [
    "NOTHING_LIMITED",
    "DeclineLimits",
    "DropRisk",
    "Kind",
    "Mark",
    "Risk",
    "RiskRules",
    "StepUpRule",
    "TooMany",
    "mark",
]
