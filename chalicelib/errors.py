"""All errors that end a request, as one tree. Each has its problem type and HTTP status.

Outcomes that a caller must handle, such as sold out or payment failed, are values, not errors.
"""

from __future__ import annotations


class LivedropError(Exception):
    """A request that cannot be carried out.

    ``code`` is the machine-readable reason in snake case, ``detail`` a sentence for a person. ``field`` names the wrong
    input: a JSONPath (``$.line_items[0].quantity``), a header or a query parameter.
    """

    status = 500
    code = "internal_error"

    def __init__(self, detail: str, *, field: str | None = None, code: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.code = code or type(self).code


class BadInput(LivedropError):
    """A field of the request is malformed, missing, of a wrong type or outside its bounds."""

    status = 400
    code = "invalid_request"


class Unauthenticated(LivedropError):
    """The credential is missing, wrong or stale."""

    status = 401
    code = "unauthenticated"


class Forbidden(LivedropError):
    """The credential is valid, but lacks the scope that this call needs."""

    status = 403
    code = "forbidden"


class NotFound(LivedropError):
    """Nothing has this id. (Calls of buyers answer with a message and status 200 instead.)"""

    status = 404
    code = "not_found"


class Conflict(LivedropError):
    """The present state does not allow the change."""

    status = 409
    code = "conflict"


class IdempotencyConflict(Conflict):
    """The ``Idempotency-Key`` was used before, with another request."""

    code = "idempotency_conflict"

    def __init__(self) -> None:
        super().__init__("The Idempotency-Key was used with another request. Send a new key.", field="Idempotency-Key")


class TooLarge(LivedropError):
    """The body exceeds the limit. It was not parsed."""

    status = 413
    code = "body_too_large"


class UnsupportedMedia(LivedropError):
    """The body has a content type that this call does not read."""

    status = 415
    code = "unsupported_media_type"


class InvariantBroken(LivedropError):
    """Stored data contradict a rule that no race can break: a fault of the code, and nothing was changed.

    Entry points count it as the metric ``invariants_broken``, and an alarm reports it. Where a rival can explain what
    was read, raise :class:`WriteConflict` instead.
    """

    code = "invariant_broken"


class Unavailable(LivedropError):
    """AWS or a provider cannot be reached. ``retry_after_seconds`` goes into the ``Retry-After`` header."""

    status = 503
    code = "unavailable"

    def __init__(self, detail: str, *, retry_after_seconds: int = 1) -> None:
        super().__init__(detail)
        self.retry_after_seconds = retry_after_seconds


class WriteConflict(Unavailable):
    """Other writes won the race for the same record until the tries were used up."""

    code = "contended"
