"""Call Stripe by its SDK: with the key that is valid now, once, and with every error sorted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import stripe

from chalicelib.payments.gateway import OutcomeUnknownError, ProviderBusyError
from chalicelib.payments.pacing import Pacer, Unpaced
from chalicelib.payments.stripe.errors import (
    KEY_REFUSED,
    KEY_REFUSED_SECONDS,
    Call,
    Sort,
    StripeAnswerError,
    sort_error,
)
from chalicelib.telemetry import count, logger

CONNECT_TIMEOUT_SECONDS: Final = 2
READ_TIMEOUT_SECONDS: Final = 8
"""A call ends within ten seconds. The capture queue decides about retries, and the SDK makes none."""

_NOT_FOUND: Final = "resource_missing"

_T = TypeVar("_T")


class NoAnswerError(OutcomeUnknownError):
    """Stripe gave no answer in time. Another call at once would only take as long."""


class ReplayedFailureError(OutcomeUnknownError):
    """Stripe repeats a failure that it stored under the idempotency key: the same key answers nothing else for a day.

    The effect of the first call is to be looked up.
    """


@dataclass(frozen=True, slots=True)
class ApiKeys:
    """The sources of the API key. ``reread`` asks the store of secrets again, at a rate that it bounds itself."""

    current: Callable[[], str]
    reread: Callable[[], str]


def fixed_key(key: str) -> ApiKeys:
    """Return one key that never changes."""
    return ApiKeys(lambda: key, lambda: key)


class StripeCalls:
    """The calls of one process. ``http``: the SDK's transport; None: HTTPS with this module's timeouts."""

    def __init__(
        self,
        keys: ApiKeys,
        base_url: str | None = None,
        http: stripe.HTTPClient | None = None,
        pacer: Pacer | None = None,
    ) -> None:
        self._keys, self._pacer = keys, pacer or Unpaced()
        self._addresses: Any = {"api": base_url} if base_url else {}
        self._http = http or stripe.RequestsClient(timeout=(CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS))
        self._client: tuple[str, stripe.StripeClient] | None = None

    def run(self, call: Call, request: Callable[[Any], _T]) -> _T:
        """Make one call. ``request`` gets the SDK's services. If Stripe refuses the key, read it again and repeat once.

        Raises:
            StripeAnswerError: Stripe's answer is an error with a certain outcome.
            OutcomeUnknownError: the call may have had its effect.
            ProviderBusyError: the call had no effect or was not made, and has to wait.
        """
        key = self._keys.current()
        self._pacer.await_turn(call.value)
        try:
            return request(self._services(key))
        except (stripe.AuthenticationError, stripe.PermissionError) as error:
            fresh_key, refused = self._keys.reread(), error
        except stripe.StripeError as error:
            raise _to_exception(call, error) from error
        if fresh_key == key:
            raise _key_refused(call, refused) from refused
        self._pacer.await_turn(call.value)
        try:
            return request(self._services(fresh_key))
        except (stripe.AuthenticationError, stripe.PermissionError) as error:
            raise _key_refused(call, error) from error
        except stripe.StripeError as error:
            raise _to_exception(call, error) from error

    def read(self, call: Call, request: Callable[[Any], _T]) -> _T | None:
        """Make a call that only reads. None: Stripe has no such object.

        Raises:
            OutcomeUnknownError: Stripe gave no readable answer, or refuses to show the object.
            ProviderBusyError: the call has to wait.
        """
        try:
            return self.run(call, request)
        except StripeAnswerError as error:
            if error.answer.code == _NOT_FOUND:
                return None
            raise OutcomeUnknownError(error.answer.code) from error

    def _services(self, key: str) -> Any:
        if self._client is None or self._client[0] != key:
            client = stripe.StripeClient(
                key, base_addresses=self._addresses, max_network_retries=0, http_client=self._http
            )
            self._client = key, client
        return self._client[1].v1


def _to_exception(call: Call, error: stripe.StripeError) -> Exception:
    answer = sort_error(call, error)
    extra = {"call": call.value, "error": type(error).__name__, "status": error.http_status, "code": answer.code}
    match answer.sort:
        case Sort.WAIT:
            logger.info("provider busy", extra=extra)
            return ProviderBusyError(answer.code, retry_in_seconds=answer.retry_in_seconds)
        case Sort.UNKNOWN:
            logger.warning("provider outcome unknown", extra=extra)
            if error.http_status is None:
                return NoAnswerError(answer.code)
            return ReplayedFailureError(answer.code) if answer.replayed else OutcomeUnknownError(answer.code)
        case Sort.REFUSED:
            logger.warning("provider refused a call", extra=extra)
    return StripeAnswerError(answer)


def _key_refused(call: Call, error: stripe.StripeError) -> ProviderBusyError:
    count("provider_key_refused")
    logger.error("provider key refused", extra={"call": call.value, "status": error.http_status})
    return ProviderBusyError(KEY_REFUSED, retry_in_seconds=KEY_REFUSED_SECONDS)
