"""Ids nobody can guess and nobody has to store: derived from what the client sent, under the shop's key."""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode


def cart_id(purchase_id: str) -> str:
    return f"cart_{purchase_id}"


def checkout_id(purchase_id: str) -> str:
    return f"chk_{purchase_id}"


def order_id(purchase_id: str) -> str:
    return f"ord_{purchase_id}"


def order_ref(purchase_id: str) -> str:
    """The reference of a purchase inside buckets."""
    return purchase_id[:9]


_ID = re.compile(r"[A-Za-z0-9_-]{22}")


def derive_purchase_id(key: bytes, namespace: str, idempotency_key: str) -> str:
    """The purchase a create request is about: 22 characters, 128 bits of HMAC-SHA-256 over who asks and their key.

    The same request sent twice means the same purchase, before anything is read.
    """
    digest = hmac.digest(key, f"{namespace}\0{idempotency_key}".encode(), hashlib.sha256)
    return urlsafe_b64encode(digest[:16]).decode().rstrip("=")


def buyer_hash(key: bytes, email: str) -> str:
    """Who a limit counts for: 22 characters, 128 bits of HMAC-SHA-256 over the e-mail address, trimmed and casefolded.

    Under a key derived from the shop's for this purpose alone, so that it is never a purchase's id. Without the key
    nobody can tell which address a hash stands for, nor try addresses out.
    """
    if not key:
        raise ValueError("a buyer's hash needs the shop's key")
    own_key = hmac.digest(key, b"limit per buyer", hashlib.sha256)
    digest = hmac.digest(own_key, email.strip().casefold().encode("utf-8", "surrogatepass"), hashlib.sha256)
    return urlsafe_b64encode(digest[:16]).decode().rstrip("=")


def is_purchase_id(text: str) -> bool:
    """Whether a text could be a purchase's id at all."""
    return _ID.fullmatch(text) is not None


def log_reference(purchase_id: str) -> str:
    """What logs call a purchase: eleven characters of a hash. Whoever reads them cannot ask for the purchase by it."""
    return short_digest(purchase_id)


def short_digest(text: str) -> str:
    """Eleven characters (64 bits) of SHA-256: enough to tell a purchase's few keys and bodies apart."""
    return urlsafe_b64encode(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8]).decode().rstrip("=")
