"""The wire between one process and all that is outside it. It numbers the calls, and fails at one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from chalicelib.payments import Gateway, OutcomeUnknownError
from tests.crashes.cloud import FakeAws


class Fault(StrEnum):
    """What happens to a call."""

    REQUEST_LOST = "request lost"  # it had no effect, and the process is told that nobody answered
    ANSWER_LOST = "answer lost"  # it had its effect, and the process is told that nobody answered
    DIED_BEFORE = "died before"
    DIED_AFTER = "died after"
    DOUBLED = "doubled"  # its answer was lost and the SDK sent it again: the process sees the second answer


class Died(BaseException):
    """The process is gone; nothing in it may handle that."""


@dataclass
class Line:
    """One process's wire. At call number ``at`` the fault happens; a dead process makes no further call."""

    fault: Fault | None = None
    at: int = 0
    called: list[str] = field(default_factory=list)
    dead: bool = False

    def call(self, operation: str, perform: Callable[[], Any], lost: Callable[[Fault], Exception]) -> Any:
        """Do a call of the process."""
        if self.dead:
            raise Died
        self.called.append(operation)
        if len(self.called) != self.at or self.fault is None:
            return perform()
        match self.fault:
            case Fault.DIED_BEFORE | Fault.REQUEST_LOST:
                pass
            case Fault.DOUBLED if operation == "transact_write_items":
                return perform()  # it carries the SDK's ClientRequestToken: sent twice, it is done once
            case _:
                _unheard(perform)
        match self.fault:
            case Fault.DOUBLED:
                return perform()
            case Fault.DIED_BEFORE | Fault.DIED_AFTER:
                self.dead = True
                raise Died
        raise lost(self.fault)


@dataclass
class DyingAt(Line):
    """A process that dies right before it makes its ``nth`` call of an operation."""

    operation: str = ""
    nth: int = 1

    def call(self, operation: str, perform: Callable[[], Any], lost: Callable[[Fault], Exception]) -> Any:
        if operation == self.operation and self.called.count(operation) + 1 == self.nth:
            self.dead = True
            raise Died
        return super().call(operation, perform, lost)


@dataclass
class Interrupted(Line):
    """A process between whose calls others act: ``meanwhile`` before its call number ``before``."""

    before: int = 0
    meanwhile: Callable[[], object] = int

    def call(self, operation: str, perform: Callable[[], Any], lost: Callable[[Fault], Exception]) -> Any:
        if len(self.called) + 1 == self.before:
            self.meanwhile()
        return super().call(operation, perform, lost)


def _unheard(perform: Callable[[], Any]) -> None:
    """The effect without the answer; a refusal is an answer too."""
    try:
        perform()
    except (ClientError, OutcomeUnknownError):
        return


def _unanswered(fault: Fault) -> Exception:
    if fault is Fault.REQUEST_LOST:
        return EndpointConnectionError(endpoint_url="aws")
    return ReadTimeoutError(endpoint_url="aws")


class Client:
    """A boto3 client at the end of a process's line."""

    def __init__(self, fake_aws: FakeAws, service: str, line: Line) -> None:
        self._fake_aws, self._service, self._line = fake_aws, service, line

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            def perform() -> Any:
                return self._fake_aws.perform(self._service, operation, arguments)

            return self._line.call(operation, perform, _unanswered)

        return call

    def get_paginator(self, operation: str) -> _Pages:
        """Each page is a call; so little stands there that one page has it all."""
        return _Pages(self, operation)


@dataclass(frozen=True)
class _Pages:
    client: Client
    operation: str

    def paginate(self, **arguments: Any) -> Iterator[Any]:
        page = getattr(self.client, self.operation)(**arguments)
        assert "LastEvaluatedKey" not in page
        assert not page.get("IsTruncated")
        yield page


class Provider:
    """A payment provider at the end of a process's line. What it does by itself is not ours to interrupt."""

    def __init__(self, real: Gateway, line: Line) -> None:
        self.name, self._real, self._line = real.name, real, line

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def asked(*arguments: Any, **named: Any) -> Any:
            def lost(fault: Fault) -> Exception:
                return OutcomeUnknownError(fault)

            return self._line.call(f"provider: {verb}", lambda: getattr(self._real, verb)(*arguments, **named), lost)

        return asked
