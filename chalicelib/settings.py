"""Settings of the deployment, which an entry point reads once from environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_PREFIX = "LIVEDROP_"


@dataclass(frozen=True, slots=True)
class Settings:
    """Names of the deployment's resources, and the shop's choices. A name that a function does not use may be empty."""

    stock_table: str
    commerce_table: str
    sandbox_table: str
    finance_bucket: str
    capture_queue_url: str
    ledger_queue_url: str
    exports_queue_url: str
    parked_cues_queue_url: str
    event_bus: str
    secrets_id: str
    """Name or ARN of the Secrets Manager secret with the deployment's keys and known platforms."""
    time_zone: str
    """Time zone of the shop's business days, an IANA name."""
    public_url: str
    """Base address of links. Empty: that of each request."""
    cors_origins: tuple[str, ...]
    cue_max_age_seconds: int
    """Age from which an *open* cue is refused."""
    payments: str = "sandbox"
    """Payment provider: ``sandbox`` or ``stripe``."""
    payment_secrets_id: str = ""
    """Name or ARN of the Secrets Manager secret with the payment provider's keys."""
    payment_mark: str = "livedrop"
    """Mark of this shop in the metadata of its payments. Payments without it belong to other software."""
    stripe_url: str = ""
    """Address of a test double of Stripe's API, for rehearsals. Empty: Stripe's own."""
    return_url: str = ""
    """Page of the shop to which the payment provider returns a buyer. ``{checkout}`` becomes the session's id."""
    provider_rate: int = 20
    """Calls a second to one endpoint of the payment provider, over all functions. 0: calls are not paced."""
    provider_account_rate: int = 80
    """Calls a second to all endpoints of the payment provider together."""
    order_hold_channels: tuple[str, ...] = ()
    """Channels whose orders are put on hold until an operator releases them."""
    decline_limits: str = ""
    """Limits of declined payments: ``instrument=3,email=5,address=10,minutes=60``. Empty: no limits."""
    step_up: str = ""
    """Rule of 3-D Secure for a drop: ``declines=30,percent=40,within_minutes=5,minutes=30``. Empty: never."""
    terms_url: str = ""
    """Address of the shop's terms of service, shown with every checkout. Empty: none is shown."""
    privacy_url: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read the variables ``LIVEDROP_*``. Missing text is empty; numbers and the time zone have defaults."""

        def text(name: str, default: str = "") -> str:
            return environment.get(_PREFIX + name, default)

        def comma_separated(name: str) -> tuple[str, ...]:
            return tuple(one.strip() for one in text(name).split(",") if one.strip())

        return cls(
            stock_table=text("STOCK_TABLE"),
            commerce_table=text("COMMERCE_TABLE"),
            sandbox_table=text("SANDBOX_TABLE"),
            finance_bucket=text("FINANCE_BUCKET"),
            capture_queue_url=text("CAPTURE_QUEUE_URL"),
            ledger_queue_url=text("LEDGER_QUEUE_URL"),
            exports_queue_url=text("EXPORTS_QUEUE_URL"),
            parked_cues_queue_url=text("PARKED_CUES_QUEUE_URL"),
            event_bus=text("EVENT_BUS"),
            secrets_id=text("SECRETS_ID"),
            time_zone=text("TIME_ZONE", "Europe/London"),
            public_url=text("PUBLIC_URL"),
            cors_origins=comma_separated("CORS_ORIGINS"),
            cue_max_age_seconds=int(text("CUE_MAX_AGE_SECONDS", "30")),
            payments=text("PAYMENTS", "sandbox"),
            payment_secrets_id=text("PAYMENT_SECRETS_ID"),
            payment_mark=text("PAYMENT_MARK", "livedrop"),
            stripe_url=text("STRIPE_URL"),
            return_url=text("RETURN_URL"),
            provider_rate=int(text("PROVIDER_RATE", "20")),
            provider_account_rate=int(text("PROVIDER_ACCOUNT_RATE", "80")),
            order_hold_channels=comma_separated("ORDER_HOLD_CHANNELS"),
            decline_limits=text("DECLINE_LIMITS"),
            step_up=text("STEP_UP"),
            terms_url=text("TERMS_URL"),
            privacy_url=text("PRIVACY_URL"),
        )
