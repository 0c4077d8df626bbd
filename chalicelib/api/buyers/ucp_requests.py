"""UCP requests (release 2026-04-08), and the product's requests that follow from them.

Objects are open: a request may have fields that the product does not use, and fields of responses. Both are ignored.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from chalicelib.discounts import MAX_CODE_LENGTH, MAX_DISCOUNTS_PER_PURCHASE
from chalicelib.errors import BadInput
from chalicelib.purchase import Buyer, Caller, CompleteRequest, Destination, LineRequest, PurchaseRequest
from chalicelib.schema import is_id, matching

_IMPOSSIBLE_DROP_ID = "-"  # no drop can have this id, so that a malformed id is an unknown one

Text = Annotated[str, StringConstraints(max_length=200)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=128)]
MAX_LINES = 100
MAX_IDS = 100


class UcpModel(BaseModel):
    """An object of a UCP request."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True, hide_input_in_errors=True)


class ItemRequest(UcpModel):
    id: Annotated[str, StringConstraints(max_length=500)]


class LineItemRequest(UcpModel):
    item: ItemRequest
    quantity: Annotated[int, Field(ge=1, le=1_000_000)]
    id: Annotated[str, StringConstraints(max_length=128)] | None = None

    def to_request(self) -> LineRequest:
        """Return the line as a request."""
        drop_id = self.item.id if is_id(self.item.id) else _IMPOSSIBLE_DROP_ID
        return LineRequest(drop_id, self.quantity, self.id)


class BuyerRequest(UcpModel):
    first_name: Text | None = None
    last_name: Text | None = None
    email: Annotated[str, StringConstraints(max_length=254)] | None = None
    phone_number: Annotated[str, StringConstraints(max_length=40)] | None = None


class ContextRequest(UcpModel):
    address_country: Text | None = None


class DestinationRequest(UcpModel):
    id: Name | None = None
    first_name: Text | None = None
    last_name: Text | None = None
    phone_number: Text | None = None
    street_address: Text | None = None
    extended_address: Text | None = None
    address_locality: Text | None = None
    address_region: Text | None = None
    postal_code: Text | None = None
    address_country: Text | None = None


class ShippingGroupRequest(UcpModel):
    id: Name | None = None
    selected_option_id: Name | None = None


class ShippingMethodRequest(UcpModel):
    id: Name | None = None
    type: Annotated[str, matching(r"^(shipping|pickup)$", "must be `shipping` or `pickup`")] = "shipping"
    destinations: Annotated[list[DestinationRequest], Field(max_length=20)] | None = None
    selected_destination_id: Name | None = None
    groups: Annotated[list[ShippingGroupRequest], Field(max_length=20)] | None = None


class FulfillmentRequest(UcpModel):
    methods: Annotated[list[ShippingMethodRequest], Field(max_length=10)] | None = None

    def destination(self) -> Destination | None:
        """Return the selected destination, or the only one; None if the request has none, or selects none."""
        index, method = self._shipping()
        sent = list(method.destinations or ()) if method else []
        if method is None or not sent:
            return None
        chosen = method.selected_destination_id
        if chosen is None:
            return _destination(sent[0]) if len(sent) == 1 else None
        found = next((one for one in sent if one.id == chosen), None)
        if found is None:
            where = f"$.fulfillment.methods[{index}].selected_destination_id"
            raise BadInput(f"`{where}` must be the id of a destination.", field=where)
        return _destination(found)

    def option(self) -> str | None:
        """Return the shipping option that the client selected."""
        _, method = self._shipping()
        groups = (method.groups or []) if method else []
        return next((group.selected_option_id for group in groups if group.selected_option_id), None)

    def _shipping(self) -> tuple[int, ShippingMethodRequest | None]:
        """Return the first shipping method. The product has no pickup."""
        methods = enumerate(self.methods or ())
        return next(((index, one) for index, one in methods if one.type == "shipping"), (0, None))


def _destination(sent: DestinationRequest) -> Destination:
    return Destination.model_validate(sent.model_dump(exclude_none=True))


Attribution = Annotated[
    dict[
        Annotated[str, StringConstraints(min_length=1, max_length=64)],
        Annotated[str, StringConstraints(max_length=500)],
    ],
    Field(max_length=30),
]


class DiscountsRequest(UcpModel):
    codes: (
        Annotated[
            list[Annotated[str, StringConstraints(min_length=1, max_length=MAX_CODE_LENGTH)]],
            Field(max_length=MAX_DISCOUNTS_PER_PURCHASE),
        ]
        | None
    ) = None


class _UcpPurchaseRequest(UcpModel):
    discounts: DiscountsRequest | None = None
    buyer: BuyerRequest | None = None
    context: ContextRequest | None = None
    attribution: Attribution | None = None
    signals: dict[str, Any] | None = None

    def _to_request(
        self, caller: Caller, key: str, fingerprint: str, lines: list[LineItemRequest], **more: Any
    ) -> PurchaseRequest:
        return PurchaseRequest(
            caller=caller,
            key=key,
            fingerprint=fingerprint,
            buyer=Buyer.model_validate(self.buyer.model_dump(exclude_none=True)) if self.buyer else None,
            country_hint=self.context.address_country if self.context else None,
            attribution=self.attribution,
            discount_codes=_codes(self.discounts),
            lines=tuple(line.to_request() for line in lines),
            **more,
        )


def _codes(sent: DiscountsRequest | None) -> tuple[str, ...] | None:
    """Return the codes as sent; None if the request has no field for them, so that the earlier codes stay."""
    return None if sent is None or sent.codes is None else tuple(sent.codes)


class CartRequest(_UcpPurchaseRequest):
    """``POST /carts`` and ``PUT /carts/{id}``."""

    line_items: Annotated[list[LineItemRequest], Field(max_length=MAX_LINES)]

    def to_request(self, caller: Caller, key: str, fingerprint: str) -> PurchaseRequest:
        """Return the body as a request for a purchase."""
        return self._to_request(caller, key, fingerprint, self.line_items, as_cart=True)


class CheckoutSessionRequest(_UcpPurchaseRequest):
    """``POST /checkout-sessions`` and ``PUT /checkout-sessions/{id}``."""

    line_items: Annotated[list[LineItemRequest], Field(max_length=MAX_LINES)] | None = None
    cart_id: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    fulfillment: FulfillmentRequest | None = None

    def to_request(
        self, caller: Caller, key: str, fingerprint: str, cart_purchase_id: str | None = None
    ) -> PurchaseRequest:
        """Return the body as a request for a purchase; ``cart_purchase_id`` is the cart that becomes a session."""
        if self.line_items is None and cart_purchase_id is None:
            raise BadInput("`$.line_items` is required without `cart_id`.", field="$.line_items")
        return self._to_request(
            caller,
            key,
            fingerprint,
            [] if cart_purchase_id else self.line_items or [],
            cart_id=cart_purchase_id,
            destination=self.fulfillment.destination() if self.fulfillment else None,
            shipping_option=self.fulfillment.option() if self.fulfillment else None,
        )


class CredentialRequest(UcpModel):
    type: Annotated[str, StringConstraints(max_length=64)]
    token: Annotated[str, StringConstraints(min_length=1, max_length=512)] = Field(repr=False)


class InstrumentRequest(UcpModel):
    id: Name
    handler_id: Name
    type: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    credential: CredentialRequest
    selected: bool = False


class PaymentRequest(UcpModel):
    instruments: Annotated[list[InstrumentRequest], Field(min_length=1, max_length=10)]


class CompleteSessionRequest(UcpModel):
    """``POST /checkout-sessions/{id}/complete``."""

    payment: PaymentRequest
    signals: dict[str, Any] | None = None

    def to_request(self, caller: Caller, key: str, fingerprint: str, handler_id: str) -> CompleteRequest:
        """Return the request to pay with the selected instrument, or with the first.

        Raises: ``BadInput`` for an unknown payment handler.
        """
        instruments = self.payment.instruments
        index = next((number for number, one in enumerate(instruments) if one.selected), 0)
        chosen = instruments[index]
        if chosen.handler_id != handler_id:
            where = f"$.payment.instruments[{index}].handler_id"
            raise BadInput(f"`{where}` must be a payment handler of the business profile.", field=where)
        return CompleteRequest(
            caller=caller,
            key=key,
            fingerprint=fingerprint,
            handler_id=chosen.handler_id,
            instrument_id=chosen.id,
            instrument_type=chosen.type,
            token=chosen.credential.token,
        )


class CatalogLookupRequest(UcpModel):
    """``POST /catalog/lookup``."""

    ids: Annotated[list[Annotated[str, StringConstraints(max_length=500)]], Field(min_length=1)]

    def drop_ids(self) -> list[str]:
        """Return the requested ids, each once, in their order.

        Raises: ``BadInput`` for more than 100.
        """
        if len(self.ids) > MAX_IDS:
            raise BadInput(f"`$.ids` must have at most {MAX_IDS} ids.", field="$.ids", code="request_too_large")
        return list(dict.fromkeys(self.ids))
