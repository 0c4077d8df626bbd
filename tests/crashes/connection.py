"""The wire between one process and all that is outside it. It numbers the calls, and fails at one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from chalicelib.payments import Gateway, OutcomeUnknownError
from tests.fakes.aws import FakeAws


class CallFault(StrEnum):
    """What happens to a call."""

    REQUEST_LOST = "request lost"  # it had no effect, and the process is told that nobody answered
    ANSWER_LOST = "answer lost"  # it had its effect, and the process is told that nobody answered
    DIED_BEFORE = "died before"
    DIED_AFTER = "died after"
    DOUBLED = "doubled"  # its answer was lost and the SDK sent it again: the process sees the second answer


class ProcessDied(BaseException):
    """The process is gone; nothing in it may handle that."""


@dataclass
class Connection:
    """One process's wire. At call number ``at`` the fault happens; a dead process makes no further call."""

    fault: CallFault | None = None
    fault_at_call: int = 0
    calls: list[str] = field(default_factory=list)
    dead: bool = False

    def call(
        self, operation: str, perform: Callable[[], Any], no_answer_error: Callable[[CallFault], Exception]
    ) -> Any:
        """Do a call of the process."""
        if self.dead:
            raise ProcessDied
        self.calls.append(operation)
        if len(self.calls) != self.fault_at_call or self.fault is None:
            return perform()
        match self.fault:
            case CallFault.DIED_BEFORE | CallFault.REQUEST_LOST:
                pass
            case CallFault.DOUBLED if operation == "transact_write_items":
                return perform()  # it carries the SDK's ClientRequestToken: sent twice, it is done once
            case _:
                _perform_without_answer(perform)
        match self.fault:
            case CallFault.DOUBLED:
                return perform()
            case CallFault.DIED_BEFORE | CallFault.DIED_AFTER:
                self.dead = True
                raise ProcessDied
        raise no_answer_error(self.fault)


@dataclass
class DyingConnection(Connection):
    """A process that dies right before it makes its ``nth`` call of an operation."""

    operation: str = ""
    nth: int = 1

    def call(
        self, operation: str, perform: Callable[[], Any], no_answer_error: Callable[[CallFault], Exception]
    ) -> Any:
        if operation == self.operation and self.calls.count(operation) + 1 == self.nth:
            self.dead = True
            raise ProcessDied
        return super().call(operation, perform, no_answer_error)


@dataclass
class InterruptedConnection(Connection):
    """A process between whose calls others act: ``meanwhile`` before its call number ``before``."""

    before_call: int = 0
    meanwhile: Callable[[], object] = int

    def call(
        self, operation: str, perform: Callable[[], Any], no_answer_error: Callable[[CallFault], Exception]
    ) -> Any:
        if len(self.calls) + 1 == self.before_call:
            self.meanwhile()
        return super().call(operation, perform, no_answer_error)


def _perform_without_answer(perform: Callable[[], Any]) -> None:
    """The effect without the answer; a refusal is an answer too."""
    try:
        perform()
    except (ClientError, OutcomeUnknownError):
        return


def _aws_no_answer_error(fault: CallFault) -> Exception:
    if fault is CallFault.REQUEST_LOST:
        return EndpointConnectionError(endpoint_url="aws")
    return ReadTimeoutError(endpoint_url="aws")


class ConnectedClient:
    """A boto3 client at the end of a process's line."""

    def __init__(self, fake_aws: FakeAws, service: str, connection: Connection) -> None:
        self._fake_aws, self._service, self._connection = fake_aws, service, connection

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            def perform() -> Any:
                return self._fake_aws.perform(self._service, operation, arguments)

            return self._connection.call(operation, perform, _aws_no_answer_error)

        return call

    def get_paginator(self, operation: str) -> _Pages:
        """Each page is a call; so little stands there that one page has it all."""
        return _Pages(self, operation)


@dataclass(frozen=True)
class _Pages:
    client: ConnectedClient
    operation: str

    def paginate(self, **arguments: Any) -> Iterator[Any]:
        page = getattr(self.client, self.operation)(**arguments)
        assert "LastEvaluatedKey" not in page
        assert not page.get("IsTruncated")
        yield page


class ConnectedProvider:
    """A payment provider at the end of a process's line. What it does by itself is not ours to interrupt."""

    def __init__(self, real: Gateway, connection: Connection) -> None:
        self.name, self._real, self._connection = real.name, real, connection

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            def no_answer_error(fault: CallFault) -> Exception:
                return OutcomeUnknownError(fault)

            return self._connection.call(
                f"provider: {verb}", lambda: getattr(self._real, verb)(*arguments, **named), no_answer_error
            )

        return call
