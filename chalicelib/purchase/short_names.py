"""Short names of fields inside lines, totals, payment, refunds and disputes of a stored purchase.

No condition uses them. A line takes 170 bytes in place of 270, so that each write of a one-line purchase costs one
write unit (1 KB).
"""

from __future__ import annotations

from typing import Final

SHORT: Final = {
    "action_url": "au", "allocated": "al", "allocated_at": "aa", "already_restocked": "ar", "amount": "am",
    "attempt": "at", "automatic": "ac", "bucket": "b",
    "bucket_count": "bc", "budget": "bu", "budget_holds": "bh", "cancels": "cn", "captured": "cp", "charge_id": "ch",
    "closed_at": "cl", "code": "c", "commission": "cm", "commission_bps": "cb", "completed_at": "ca",
    "creator_id": "cr", "currency": "cu", "deadline": "dl", "discount": "di", "drop_id": "d", "epoch": "e",
    "evidence_due": "ed", "expires_at": "u", "failed_at": "ft", "failure": "fa", "failure_code": "fc",
    "fingerprint": "fp", "handler_id": "hi", "held_by": "hb", "hold": "ho", "holds": "h", "image_url": "im",
    "instrument_id": "ii", "instrument_type": "it", "item_amount": "ia", "key": "k", "limit_per_buyer": "lb",
    "line_id": "li", "lines": "l", "losses": "lo", "lost_at": "la", "max_hold_until": "mh", "opened_at": "oa",
    "parts": "ps", "price_until": "pu", "priority": "py", "provider": "pr", "provider_id": "pi", "quantity": "q",
    "reason": "rs", "released_at": "rt", "released_by": "rl", "repriced": "rp", "requested_at": "ra",
    "requested_by": "rb", "restock": "re", "restocked": "rd", "restored_at": "rr", "shipping": "s",
    "shipping_tax": "st", "shipping_tax_rate_bps": "sr", "sku": "sk", "status": "ss", "step_up": "up",
    "subtotal": "su", "tax": "t", "tax_category": "tc", "tax_on_top": "to", "tax_rate_bps": "tr", "title": "ti",
    "token": "tk", "total": "tt", "tries": "ty", "unit_price": "p", "velocity_keys": "vk", "withdrawn": "wd",
}  # fmt: skip
LONG: Final = {short: long for long, short in SHORT.items()}
ROOT_SHORT: Final = {"discount_codes": "codes", "idempotency_records": "keys", "rejected_codes": "refused"}
ROOT_LONG: Final = {short: long for long, short in ROOT_SHORT.items()}
