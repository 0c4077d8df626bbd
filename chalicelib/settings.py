"""Settings: what the deployment tells the code, read once at an entry point from environment variables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_PREFIX = "LIVEDROP_"


@dataclass(frozen=True, slots=True)
class Settings:
    """Names of the deployment's resources and the shop's choices. A name a function has no use for may be empty."""

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
    """Name or ARN of the Secrets Manager secret that holds keys and known platforms."""
    time_zone: str
    """IANA name: where the shop's business days begin and end."""
    public_url: str
    """Base address for links; empty: taken from each request."""
    cors_origins: tuple[str, ...]
    cue_max_age_seconds: int
    """An *open* cue older than this is refused."""
    payments: str = "sandbox"
    """Who takes the money: ``sandbox`` or ``stripe``."""
    payment_secrets_id: str = ""
    """Name or ARN of the secret that holds the provider's keys."""
    stripe_url: str = ""
    """Another address for Stripe's API: a double, for rehearsals. Empty: Stripe's own."""
    return_url: str = ""
    """The shop's page that a buyer comes back to from the provider's; ``{checkout}`` in it is the session's id."""
    order_hold_channels: tuple[str, ...] = ()
    """Channels whose orders are held until an operator releases them."""
    decline_limits: str = ""
    """How many declined payments end the tries of an instrument, e-mail or address; empty: none does."""
    step_up: str = ""
    """When a drop with many declined payments asks its buyers to authenticate; empty: never."""
    terms_url: str = ""
    """The shop's terms of service, shown with every checkout; empty: none is shown."""
    privacy_url: str = ""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """Read ``LIVEDROP_*``; absent text is empty, numbers and the time zone have defaults."""

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
            stripe_url=text("STRIPE_URL"),
            return_url=text("RETURN_URL"),
            order_hold_channels=comma_separated("ORDER_HOLD_CHANNELS"),
            decline_limits=text("DECLINE_LIMITS"),
            step_up=text("STEP_UP"),
            terms_url=text("TERMS_URL"),
            privacy_url=text("PRIVACY_URL"),
        )
