"""HTTP: what buyers, watchers, operators, finance and show control may ask, and how it is answered."""

from chalicelib.api.http import LivedropApi, register_routes
from chalicelib.api.secrets import DeploymentKeys, Keyring, Platform, read_deployment_keys
from chalicelib.api.service import ROUTES
from chalicelib.api.shop import Services

__all__ = [
    "ROUTES",
    "DeploymentKeys",
    "Keyring",
    "LivedropApi",
    "Platform",
    "Services",
    "read_deployment_keys",
    "register_routes",
]
