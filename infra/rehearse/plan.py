"""Plan a show for a demand: drops, buyers with carts, refunds. The same demand and show id make the same plan."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from infra.rehearse.countries import code_of
from infra.rehearse.demand import Article, Demand, Invoice

CURRENCY: Final = "GBP"
MAX_LINES_PER_PURCHASE: Final = 100
LINES_PER_STEP: Final = 10
"""Lines that a buyer adds to a cart in one request. A wave of cues opens their drops just before."""
MAX_EXPRESS_LINES: Final = 10
"""Every second purchase of up to so many lines goes straight to the checkout, without a cart."""

_MAX_HOLDS_PER_BUCKET: Final = 24
_LOTS_PER_BUCKET: Final = 12
_MAX_TITLE_LENGTH: Final = 200
_MAX_SKU_LENGTH: Final = 64

CueTransport = Literal["kinesis", "http"]
"""The transport of a cue."""


@dataclass(frozen=True, slots=True)
class PlannedDrop:
    """A drop for one article, with as many units as the buyers want. ``cue_transport`` is that of its first cue."""

    id: str
    sku: str
    title: str
    unit_price: int
    stock: int
    usual_quantity: int
    buyers: int
    cue_transport: CueTransport

    def __str__(self) -> str:
        return f"drop {self.id} ({self.sku} at {self.unit_price / 100:.2f})"


@dataclass(frozen=True, slots=True)
class PlannedPurchase:
    """The order of one buyer: units by drop id, at most 100 lines.

    ``id`` is unique in its show and valid in a header. ``invoice`` is the source's number.
    """

    id: str
    invoice: str
    customer: str
    country: str
    units: dict[str, int]
    express: bool

    def __str__(self) -> str:
        return f"purchase {self.id} (invoice {self.invoice})"

    def steps(self) -> Iterator[dict[str, int]]:
        """Yield the lines in portions, as the buyer adds them."""
        lines = list(self.units.items())
        for start in range(0, len(lines), LINES_PER_STEP):
            yield dict(lines[start : start + LINES_PER_STEP])


@dataclass(frozen=True, slots=True)
class PlannedRefund:
    """Units of one drop that row ``row`` cancels, to be refunded in a purchase."""

    row: int
    purchase: str
    drop_id: str
    quantity: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The show, its drops, the purchases and the refunds of a rehearsal."""

    show_id: str
    drops: dict[str, PlannedDrop]
    purchases: tuple[PlannedPurchase, ...]
    refunds: tuple[PlannedRefund, ...]

    def goods_amount(self, purchase: PlannedPurchase) -> int:
        """Return price × quantity of a purchase in pence."""
        return sum(self.drops[drop_id].unit_price * quantity for drop_id, quantity in purchase.units.items())


def plan(demand: Demand, show_id: str) -> Plan:
    """Plan the show for a demand. Drops are numbered in the order of their first invoices."""
    wanted: dict[Article, list[int]] = defaultdict(list)
    for invoice in demand.invoices:
        for article, quantity in invoice.units.items():
            wanted[article].append(quantity)
    names = {article: f"{show_id}.{number:05d}" for number, article in enumerate(wanted, start=1)}
    purchases: list[PlannedPurchase] = []
    parts: list[dict[str, str]] = []
    for number, invoice in enumerate(demand.invoices, start=1):
        split = list(_split(number, invoice, names))
        purchases += split
        parts.append({drop_id: part.id for part in split for drop_id in part.units})
    transports = _cue_transports(purchases)
    drops = {
        name: PlannedDrop(
            id=name,
            sku=article[0][:_MAX_SKU_LENGTH].strip(),
            title=demand.titles[article][:_MAX_TITLE_LENGTH].strip(),
            unit_price=article[1],
            stock=sum(wanted[article]),
            usual_quantity=usual_quantity(wanted[article]),
            buyers=len(wanted[article]),
            cue_transport=transports[name],
        )
        for article, name in names.items()
    }
    refunds = tuple(
        PlannedRefund(one.row, parts[one.position][names[one.article]], names[one.article], one.quantity)
        for one in demand.cancellations
    )
    return Plan(show_id, drops, tuple(purchases), refunds)


def usual_quantity(quantities: Sequence[int]) -> int:
    """Choose a drop's usual quantity so that each buyer finds a bucket with enough units.

    The stock is exactly the demand, and a hold is never split over buckets. Up to 24 buyers share one bucket. More
    buyers need several buckets. Equal quantities fill them without a rest. With unequal quantities, a full bucket has
    at least the largest quantity. A buyer who finds only small rests at the end takes them as several holds of a line.
    """
    stock = sum(quantities)
    if len(quantities) <= _MAX_HOLDS_PER_BUCKET:
        return -(-stock // _MAX_HOLDS_PER_BUCKET)
    if len(set(quantities)) == 1:
        return quantities[0]
    return max(-(-stock // len(quantities)), -(-max(quantities) // _LOTS_PER_BUCKET))


def _split(number: int, invoice: Invoice, names: dict[Article, str]) -> Iterator[PlannedPurchase]:
    lines = [(names[article], quantity) for article, quantity in invoice.units.items()]
    portions = [lines[start : start + MAX_LINES_PER_PURCHASE] for start in range(0, len(lines), MAX_LINES_PER_PURCHASE)]
    for part, portion in enumerate(portions, start=1):
        yield PlannedPurchase(
            id=f"{number}.{part}",
            invoice=invoice.number,
            customer=invoice.customer,
            country=code_of(invoice.country),
            units=dict(portion),
            express=number % 2 == 0 and len(portion) <= MAX_EXPRESS_LINES,
        )


def _cue_transports(purchases: Sequence[PlannedPurchase]) -> dict[str, CueTransport]:
    """Choose the transport of each drop's cue.

    The drops that one step opens are a wave. Waves take turns between Kinesis and HTTP.
    """
    transports: dict[str, CueTransport] = {}
    wave = 0
    for purchase in purchases:
        for step in purchase.steps():
            new = [drop_id for drop_id in step if drop_id not in transports]
            transports.update(dict.fromkeys(new, "http" if wave % 2 else "kinesis"))
            wave += bool(new)
    return transports
