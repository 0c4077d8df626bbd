"""Payment intents: create, confirm, update, cancel, authenticate, and what the clock does to them (P1 to P18)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.doubles.stripe.answers import ANSWERS, Answer, Refusal, refusal
from tests.doubles.stripe.captures import settle_capture
from tests.doubles.stripe.charges import make_charge
from tests.doubles.stripe.currencies import check_amount, check_currency
from tests.doubles.stripe.events import emit
from tests.doubles.stripe.refunds import release_hold
from tests.doubles.stripe.reviews import close_review, open_review
from tests.doubles.stripe.state import Record, State, wire
from tests.doubles.stripe.tokens import Instrument, resolve, use

CONFIRMABLE: Final = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})
_COPIED: Final = (
    "description",
    "customer",
    "payment_method_options",
    "setup_future_usage",
    "shipping",
    "statement_descriptor_suffix",
)
_HOUR: Final = 3_600


def create(state: State, sent: Mapping[str, Any]) -> Record:
    """Create an intent, and confirm it when asked."""
    wanted = _wanted(state, sent)
    instrument = resolve(state, sent, wanted)
    if sent.get("confirm") and instrument is None:
        raise refusal("parameter_missing", param="payment_method", message="A payment method is needed to confirm.")
    if sent.get("statement_descriptor") and instrument is not None:
        raise refusal("statement_descriptor_of_card", message="Cards take `statement_descriptor_suffix` only.")
    check_currency(wanted["currency"])
    check_amount(state, wanted["amount"], wanted["currency"])
    number = state.count("payment_intent")
    name = f"pi_{number:024d}"
    record = {
        "id": name,
        "object": "payment_intent",
        **wanted,
        **_NOTHING,
        "client_secret": f"{name}_secret_{number}",
        "confirmation_method": sent.get("confirmation_method", "automatic"),
        "created": state.seconds,
        "livemode": state.behaviour.livemode,
        "metadata": dict(sent.get("metadata") or {}),
        "status": "requires_payment_method" if instrument is None else "requires_confirmation",
        "payment_method": instrument.payment_method if instrument else None,
        **{part: sent[part] for part in _COPIED if part in sent},
        "_confirms": 0,
        "_updates": (),
    }
    intent = state.put(record)
    emit(state, "payment_intent.created", intent)
    return _attempt(state, intent, instrument, sent) if sent.get("confirm") and instrument else intent


def _wanted(state: State, sent: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "amount": sent["amount"],
        "currency": str(sent["currency"]).lower(),
        "capture_method": sent.get("capture_method", "automatic_async"),
        "payment_method_types": list(
            sent.get("allowed_payment_method_types") or sent.get("payment_method_types") or ["card"]
        ),
        "customer": sent.get("customer"),
    }


_NOTHING: Final[Mapping[str, Any]] = {
    "amount_capturable": 0,
    "amount_details": {"tip": {}},
    "amount_received": 0,
    "application": None,
    "application_fee_amount": None,
    "automatic_payment_methods": None,
    "canceled_at": None,
    "cancellation_reason": None,
    "customer_account": None,
    "description": None,
    "excluded_payment_method_types": None,
    "last_payment_error": None,
    "latest_charge": None,
    "next_action": None,
    "on_behalf_of": None,
    "payment_method_configuration_details": None,
    "payment_method_options": {"card": {"request_three_d_secure": "automatic"}},
    "presentment_details": None,
    "processing": None,
    "receipt_email": None,
    "review": None,
    "setup_future_usage": None,
    "shipping": None,
    "source": None,
    "statement_descriptor": None,
    "statement_descriptor_suffix": None,
    "transfer_data": None,
    "transfer_group": None,
}


def update(state: State, name: str, sent: Mapping[str, Any]) -> Record:
    """Change an intent. The amount may change until it is authorised (P11, O)."""
    intent = state.named("payment_intent", name)
    if intent["status"] not in CONFIRMABLE and set(sent) - {"metadata", "description"}:
        raise unexpected_state("unexpected_state", intent, param="amount" if "amount" in sent else None)
    updates = (*(at for at in intent["_updates"] if at > state.seconds - _HOUR), state.seconds)
    if len(updates) > state.behaviour.max_updates_an_hour:
        raise refusal("rate_limit_resource-specific", message="The intent was updated too often in this hour.")
    changes: dict[str, Any] = {part: sent[part] for part in _COPIED if part in sent}
    currency = str(sent.get("currency", intent["currency"])).lower()
    if "amount" in sent or "currency" in sent:
        check_currency(currency)
        check_amount(state, sent.get("amount", intent["amount"]), currency)
        changes |= {"amount": sent.get("amount", intent["amount"]), "currency": currency}
    if "metadata" in sent:
        merged = {**intent["metadata"], **sent["metadata"]} if sent["metadata"] else {}
        changes["metadata"] = {key: value for key, value in merged.items() if value != ""}
    if sent.get("payment_method"):
        instrument = resolve(state, sent, {**intent, **changes})
        changes["payment_method"] = instrument.payment_method if instrument else None
        changes["status"] = "requires_confirmation"
    return state.change(intent, **changes, _updates=updates)


def confirm(state: State, name: str, sent: Mapping[str, Any]) -> Record:
    """Try to pay an intent."""
    intent = state.named("payment_intent", name)
    if intent["status"] not in CONFIRMABLE:
        raise unexpected_state("unexpected_state", intent)
    instrument = resolve(state, sent, intent)
    if instrument is None:
        raise unexpected_state("unexpected_state", intent, message="The intent has no payment method.")
    if intent["_confirms"] >= state.behaviour.max_confirms:
        return _cancel(state, intent, "automatic")
    return _attempt(state, intent, instrument, sent)


def _attempt(state: State, intent: Record, instrument: Instrument, sent: Mapping[str, Any]) -> Record:
    card, options = instrument.card, sent.get("payment_method_options") or intent["payment_method_options"] or {}
    asked = options.get("card", {}).get("request_three_d_secure") in {"challenge", "any"}
    must_prove = card.challenge == "always" or (card.challenge == "when asked" and asked)
    declined: Answer | None = None
    if card.decline:
        declined = ANSWERS[card.decline]
    elif must_prove and sent.get("off_session"):
        declined = ANSWERS["authentication_required"]
    elif must_prove and sent.get("error_on_requires_action"):
        declined = ANSWERS["action_required"]
    elif card.soft_decline and not must_prove:
        declined = ANSWERS["authentication_required"]
    proved = intent.get("_proved", False)
    use(state, instrument, intent["id"], declined=declined is not None)
    intent = state.change(
        intent,
        payment_method=instrument.payment_method,
        payment_method_options=options,
        last_payment_error=None,
        next_action=None,
        _confirms=intent["_confirms"] + 1,
        _instrument=instrument,
        _proved=False,
    )
    if declined is not None:
        raise _decline(state, intent, instrument, declined)
    if must_prove and not proved:
        action = _next_action(intent, instrument.token, sent)
        intent = state.change(intent, status="requires_action", next_action=action)
        emit(state, "payment_intent.requires_action", intent)
        return intent
    unasked = card.proof if asked else None
    return _authorise(state, intent, instrument, proof="authenticated" if proved else unasked)


def _next_action(intent: Record, token: Record, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Choose between the page and Stripe's script: a confirmation token means the script (P13, S)."""
    by_script = sent.get("use_stripe_sdk", token.get("use_stripe_sdk", False))
    return_url = sent.get("return_url") or token.get("return_url")
    if by_script or return_url is None:
        return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
    page = f"https://hooks.stripe.test/redirect/authenticate/{intent['id']}"
    return {"type": "redirect_to_url", "redirect_to_url": {"url": page, "return_url": return_url}}


def _decline(state: State, intent: Record, instrument: Instrument, answer: Answer) -> Refusal:
    """Note a declined try, and return the refusal that carries the intent whole (E1, D)."""
    charge = make_charge(state, intent, instrument, failure=answer)
    method = wire(state.get(instrument.payment_method))
    error = {**Refusal(answer, {}).body()["error"], "charge": charge["id"], "payment_method": method}
    error.pop("request_log_url")
    intent = state.change(
        intent,
        status="requires_payment_method",
        payment_method=None,
        latest_charge=charge["id"],
        last_payment_error=error,
    )
    emit(state, "payment_intent.payment_failed", intent)
    return Refusal(answer, {"charge": charge["id"], "payment_method": method, "payment_intent": wire(intent)})


def _authorise(state: State, intent: Record, instrument: Instrument, proof: str | None) -> Record:
    manual = intent["capture_method"] == "manual"
    charge = make_charge(state, intent, instrument, proof=proof, captured=not manual)
    if instrument.card.review:
        charge = open_review(state, charge)
    changes = {"latest_charge": charge["id"], "review": charge["review"], "next_action": None}
    if not manual:
        intent = state.change(intent, status="succeeded", amount_received=intent["amount"], **changes)
        settle_capture(state, charge)
        emit(state, "payment_intent.succeeded", intent)
        return intent
    intent = state.change(intent, status="requires_capture", amount_capturable=intent["amount"], **changes)
    emit(state, "payment_intent.amount_capturable_updated", intent)
    state.after(state.behaviour.hold_expires + 1_000, expire_hold, intent["id"], charge["id"])  # 7 days 1 s (P4, O)
    return intent


def expire_hold(state: State, name: str, charge: str) -> None:
    """End a hold that was not captured in time (P4, O)."""
    intent = state.get(name)
    if intent["status"] == "requires_capture" and intent["latest_charge"] == charge:
        emit(state, "charge.expired", state.get(charge))
        _cancel(state, intent, "automatic", reason="expired_uncaptured_charge")


def cancel(state: State, name: str, sent: Mapping[str, Any]) -> Record:
    """Cancel an intent that is neither canceled, captured nor being processed (E17, D)."""
    intent = state.named("payment_intent", name)
    if intent["status"] not in CONFIRMABLE | {"requires_capture"}:
        raise unexpected_state("cannot_cancel", intent)
    return _cancel(state, intent, sent.get("cancellation_reason"))


def _cancel(state: State, intent: Record, why: str | None, *, reason: str | None = None) -> Record:
    held = intent["status"] == "requires_capture"
    intent = state.change(
        intent,
        status="canceled",
        cancellation_reason=why,
        canceled_at=state.seconds,
        amount_capturable=0,
        next_action=None,
    )
    if held:
        release_hold(state, state.get(intent["latest_charge"]), reason)
    if intent["review"]:
        close_review(state, intent["review"], "canceled")
    emit(state, "payment_intent.canceled", intent)
    return state.get(intent["id"])


def authenticate(state: State, name: str, *, succeeded: bool) -> Record:
    """Let the buyer prove who they are, or fail to. There is no limit of time (P14, D)."""
    intent = state.named("payment_intent", name)
    if intent["status"] != "requires_action":
        raise unexpected_state("unexpected_state", intent)
    instrument: Instrument = intent["_instrument"]
    if succeeded:
        if intent["confirmation_method"] == "manual":  # no event in between (P10, S)
            return state.change(intent, status="requires_confirmation", next_action=None, _proved=True)
        return _authorise(state, intent, instrument, proof="authenticated")
    error = {
        "type": state.behaviour.failed_proof_type,
        "code": "payment_intent_authentication_failure",
        "message": "The provided PaymentMethod has failed authentication.",
        "payment_method": wire(state.get(instrument.payment_method)),
    }
    intent = state.change(
        intent, status="requires_payment_method", last_payment_error=error, next_action=None, payment_method=None
    )
    emit(state, "payment_intent.payment_failed", intent)
    return intent


def unexpected_state(row: str, intent: Record, **extra: Any) -> Refusal:
    """Return the refusal of a call in the wrong state. Its body has the intent (E6, D)."""
    message = extra.pop("message", f"The PaymentIntent has a status of {intent['status']}.")
    return refusal(row, payment_intent=wire(intent), message=message, **extra)
