"""Purchase ids and their forms: derived from the client's request under the shop's key, so that nobody can guess one.

One purchase has three public ids, one for each stage of it: ``cart_{id}``, ``chk_{id}`` and ``ord_{id}``.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode

ORDER_REF_LENGTH = 9

_PURCHASE_ID = re.compile(r"[A-Za-z0-9_-]{22}")
_CART, _CHECKOUT, _ORDER = "cart_", "chk_", "ord_"


def cart_id(purchase_id: str) -> str:
    """Return the public id of a purchase's cart."""
    return _CART + purchase_id


def checkout_id(purchase_id: str) -> str:
    """Return the public id of a purchase's checkout session."""
    return _CHECKOUT + purchase_id


def order_id(purchase_id: str) -> str:
    """Return the public id of a purchase's order."""
    return _ORDER + purchase_id


def parse_cart_id(text: str) -> str | None:
    """Return the purchase id in a cart's public id; None when ``text`` is no such id."""
    return _parse(text, _CART)


def parse_checkout_id(text: str) -> str | None:
    """Return the purchase id in a checkout session's public id; None when ``text`` is no such id."""
    return _parse(text, _CHECKOUT)


def parse_order_id(text: str) -> str | None:
    """Return the purchase id in an order's public id; None when ``text`` is no such id."""
    return _parse(text, _ORDER)


def _parse(text: str, prefix: str) -> str | None:
    purchase_id = text.removeprefix(prefix)
    return purchase_id if purchase_id != text and is_purchase_id(purchase_id) else None


def order_ref(purchase_id: str) -> str:
    """Return the short reference of a purchase that buckets store: its first nine characters (54 bits)."""
    return purchase_id[:ORDER_REF_LENGTH]


def derive_purchase_id(key: bytes, namespace: str, idempotency_key: str) -> str:
    """Derive the id of the purchase that a create request makes: 22 characters, 128 bits of HMAC-SHA-256.

    The digest covers the caller's namespace and idempotency key. A repeated request derives the same id before it reads
    anything.
    """
    digest = hmac.digest(key, f"{namespace}\0{idempotency_key}".encode(), hashlib.sha256)
    return urlsafe_b64encode(digest[:16]).decode().rstrip("=")


def buyer_hash(key: bytes, email: str) -> str:
    """Hash a buyer's e-mail address, trimmed and casefolded, for limits per buyer: 22 characters of HMAC-SHA-256.

    The key is derived from the shop's key for this purpose alone, so that a hash never equals a purchase id. Without
    the key nobody can find the address of a hash, nor test addresses.
    """
    if not key:
        raise ValueError("buyer_hash needs the shop's key")
    own_key = hmac.digest(key, b"limit per buyer", hashlib.sha256)
    digest = hmac.digest(own_key, email.strip().casefold().encode("utf-8", "surrogatepass"), hashlib.sha256)
    return urlsafe_b64encode(digest[:16]).decode().rstrip("=")


def is_purchase_id(text: str) -> bool:
    """Tell whether a text has the form of a purchase id. It may still name no purchase."""
    return _PURCHASE_ID.fullmatch(text) is not None


def log_reference(purchase_id: str) -> str:
    """Return the reference of a purchase in logs: eleven characters of a hash, which open nothing."""
    return short_digest(purchase_id)


def short_digest(text: str) -> str:
    """Return eleven characters (64 bits) of SHA-256: enough to tell the few keys and bodies of a purchase apart."""
    return urlsafe_b64encode(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8]).decode().rstrip("=")
