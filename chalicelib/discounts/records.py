"""Stored discounts."""

from __future__ import annotations

from chalicelib.discounts.model import Discount
from chalicelib.revisions import RevisionedRecord


class DiscountRecord(Discount, RevisionedRecord):
    """A discount's record."""

    draft: bool = False
    """Whether buckets of its budgets may be missing. No purchase gets a draft."""
