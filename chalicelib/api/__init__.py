"""HTTP: the routes of buyers, watchers, operators, finance and show control, and their requests and answers."""

from chalicelib.api.buyers.in_line import OrderLine
from chalicelib.api.chalice_bridge import LivedropApi, register_routes
from chalicelib.api.deployment_keys import DeploymentKeys, Keyring, Platform, read_deployment_keys
from chalicelib.api.routes import ROUTES
from chalicelib.api.services import Services

__all__ = [
    "ROUTES",
    "DeploymentKeys",
    "Keyring",
    "LivedropApi",
    "OrderLine",
    "Platform",
    "Services",
    "read_deployment_keys",
    "register_routes",
]
