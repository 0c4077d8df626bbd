"""The connection between one process and everything outside it. It numbers the calls, and one of them may fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from chalicelib.payments import Gateway, OutcomeUnknownError
from tests.fakes.aws import FakeAws
from tests.fakes.process_died import ProcessDied


class CallFault(StrEnum):
    """The fault of a call."""

    REQUEST_LOST = "request lost"  # no effect, and the process gets no answer
    ANSWER_LOST = "answer lost"  # the call takes effect, and the process gets no answer
    DIED_BEFORE = "died before"
    DIED_AFTER = "died after"
    DOUBLED = "doubled"  # the first answer is lost and the SDK sends the call again: the process gets the second answer


class ProviderFault(StrEnum):
    """A fault that the payment provider itself makes, at a call that writes."""

    STORED_AFTER = "500 after the effect, stored and replayed"
    STORED_BEFORE = "500 without effect, stored and replayed"
    BAD_GATEWAY = "502 after the effect, not stored"
    LIMITED = "429"


Fault = CallFault | ProviderFault
PROVIDER_WRITE = "stripe: POST "
"""How the name of a call begins that can have a provider's fault."""


def faults_of(operation: str) -> list[Fault]:
    """Return the faults that a call can have."""
    return [*CallFault, *(ProviderFault if operation.startswith(PROVIDER_WRITE) else ())]


@dataclass
class Connection:
    """The connection of one process. The fault occurs at call ``fault_at_call``. A dead process makes no more calls."""

    fault: Fault | None = None
    fault_at_call: int = 0
    calls: list[str] = field(default_factory=list)
    dead: bool = False

    def call(
        self,
        operation: str,
        perform: Callable[[], Any],
        no_answer_error: Callable[[Fault], Exception],
        perform_with: Callable[[ProviderFault], Any] | None = None,
    ) -> Any:
        """Make a call of the process. ``perform_with`` makes it with a fault of the provider.

        Raises: ProcessDied, or the error of a call without an answer.
        """
        if self.dead:
            raise ProcessDied
        self.calls.append(operation)
        if len(self.calls) != self.fault_at_call or self.fault is None:
            return perform()
        if isinstance(self.fault, ProviderFault):
            assert perform_with is not None
            return perform_with(self.fault)
        match self.fault:
            case CallFault.DIED_BEFORE | CallFault.REQUEST_LOST:
                pass
            case CallFault.DOUBLED if operation == "transact_write_items":
                return perform()  # the SDK's ClientRequestToken makes DynamoDB perform it once
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
    """The connection of a process that dies right before its ``nth`` call of an operation."""

    operation: str = ""
    nth: int = 1

    def call(
        self,
        operation: str,
        perform: Callable[[], Any],
        no_answer_error: Callable[[Fault], Exception],
        perform_with: Callable[[ProviderFault], Any] | None = None,
    ) -> Any:
        if operation == self.operation and self.calls.count(operation) + 1 == self.nth:
            self.dead = True
            raise ProcessDied
        return super().call(operation, perform, no_answer_error, perform_with)


@dataclass
class InterruptedConnection(Connection):
    """A connection that calls ``meanwhile`` right before call number ``before_call``."""

    before_call: int = 0
    meanwhile: Callable[[], object] = int

    def call(
        self,
        operation: str,
        perform: Callable[[], Any],
        no_answer_error: Callable[[Fault], Exception],
        perform_with: Callable[[ProviderFault], Any] | None = None,
    ) -> Any:
        if len(self.calls) + 1 == self.before_call:
            self.meanwhile()
        return super().call(operation, perform, no_answer_error, perform_with)


def _perform_without_answer(perform: Callable[[], Any]) -> None:
    """Make a call and drop its answer. A refusal is an answer, too."""
    try:
        perform()
    except (ClientError, OutcomeUnknownError):
        return


def _aws_no_answer_error(fault: Fault) -> Exception:
    if fault is CallFault.REQUEST_LOST:
        return EndpointConnectionError(endpoint_url="aws")
    return ReadTimeoutError(endpoint_url="aws")


class ConnectedClient:
    """A boto3 client whose calls go through a process's connection."""

    def __init__(self, fake_aws: FakeAws, service: str, connection: Connection) -> None:
        self._fake_aws, self._service, self._connection = fake_aws, service, connection

    def __getattr__(self, operation: str) -> Callable[..., Any]:
        def call(**arguments: Any) -> Any:
            def perform() -> Any:
                return self._fake_aws.perform(self._service, operation, arguments)

            return self._connection.call(operation, perform, _aws_no_answer_error)

        return call

    def get_paginator(self, operation: str) -> _Pages:
        """Return a paginator whose page is a call. The tests store so little that there is only one page."""
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
    """A payment provider whose calls go through a process's connection. Its own calls to its table never fail."""

    def __init__(self, real: Gateway, connection: Connection) -> None:
        self.name, self._real, self._connection = real.name, real, connection

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            def no_answer_error(fault: Fault) -> Exception:
                return OutcomeUnknownError(fault)

            return self._connection.call(
                f"provider: {verb}", lambda: getattr(self._real, verb)(*arguments, **named), no_answer_error
            )

        return call
