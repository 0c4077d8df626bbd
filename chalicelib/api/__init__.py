"""HTTP: what buyers, watchers, operators, finance and show control may ask, and how it is answered."""

from chalicelib.api.http import LivedropApi, register_routes
from chalicelib.api.secrets import Keyring, Platform, Secrets, read_secrets
from chalicelib.api.service import ROUTES
from chalicelib.api.shop import Services

__all__ = ["ROUTES", "Keyring", "LivedropApi", "Platform", "Secrets", "Services", "read_secrets", "register_routes"]
