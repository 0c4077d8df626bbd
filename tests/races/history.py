"""Record histories of the verbs on holds, and of the reads and writes of each bucket."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import count
from typing import Any, Final

from botocore.exceptions import ClientError

from chalicelib.aws import existing_item, from_item, to_item
from tests.fakes.strict_dynamodb import StrictFakeDynamoDB
from tests.races.buyers_pool import NO_ANSWER
from tests.races.linearizability import RecordedOperation

DONE: Final = "done"


class History:
    """Operations of many threads, ordered by one counter."""

    def __init__(self) -> None:
        self._instants = count()
        self.events: list[RecordedOperation] = []

    def add(self, operation: Any, call: Callable[[], Any]) -> Any:
        """Make a call and record its answer. Without an answer it is recorded as never returned."""
        called = next(self._instants)
        try:
            answer = call()
        except NO_ANSWER:
            self.events.append(RecordedOperation(called, None, operation))
            return None
        self.events.append(RecordedOperation(called, next(self._instants), operation, answer))
        return answer


class BucketRecorder:
    """A client that records a history of the calls and answers of each bucket."""

    def __init__(self, client: Any, stock_table: str) -> None:
        self._client, self._stock_table = client, stock_table
        self._instants = count()
        self.histories: defaultdict[str, list[RecordedOperation]] = defaultdict(list)

    def __getattr__(self, name: str) -> Any:
        return partial(self._call, name)

    def _call(self, name: str, **call: Any) -> Any:
        operations = list(self._bucket_operations(name, call))
        called, returned, answers = next(self._instants), None, {}
        try:
            answer = getattr(self._client, name)(**call)
            returned, answers = next(self._instants), _answers(name, operations, answer)
        except ClientError as error:
            returned, answers = next(self._instants), _refusals(operations, error)
            raise
        finally:
            for key, operation in operations:
                if returned is None or key in answers:
                    self.histories[key].append(RecordedOperation(called, returned, operation, answers.get(key)))
        return answer

    def _bucket_operations(self, name: str, call: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield the key of each bucket in a call, with a write's arguments or, for a strong read, none."""
        if name == "update_item" and call["TableName"] == self._stock_table:
            yield call["Key"]["pk"]["S"], call
        elif name == "get_item" and call["TableName"] == self._stock_table and call["ConsistentRead"]:
            yield call["Key"]["pk"]["S"], {}
        elif name == "batch_get_item":
            for key in call["RequestItems"].get(self._stock_table, {"Keys": []})["Keys"]:
                yield key["pk"]["S"], {}
        elif name == "transact_write_items":
            for write in call["TransactItems"]:
                update = write.get("Update", {})
                if update.get("TableName") == self._stock_table:
                    yield update["Key"]["pk"]["S"], update | {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}


def _answers(name: str, operations: list[Any], answer: Mapping[str, Any]) -> dict[str, str]:
    if name in {"update_item", "transact_write_items"}:
        return {key: DONE for key, _ in operations}
    keys = {key for key, _ in operations}
    items = [answer["Item"]] if "Item" in answer else []
    items += [item for some in answer.get("Responses", {}).values() for item in some]
    return {key: serialise_bucket(from_item(item)) for item in items if (key := item["pk"]["S"]) in keys}


def _refusals(operations: list[Any], error: ClientError) -> dict[str, str]:
    """Return the bucket that a refused write met. A refused transaction returns no bucket."""
    item = existing_item(error)
    return (
        {key: serialise_bucket(from_item(item)) for key, _ in operations}
        if item is not None and len(operations) == 1
        else {}
    )


def serialise_bucket(bucket: Mapping[str, Any]) -> str:
    """Return a bucket as text, which can be compared and hashed."""
    return json.dumps(bucket, sort_keys=True)


def stored_bucket_spec(state: str, event: RecordedOperation) -> Iterator[str]:
    """Yield the states after an operation on a stored bucket.

    A conditional write decides and changes at one instant. A strong read returns the present state.
    """
    if not event.operation:
        if event.answer == state:
            yield state
        return
    after = _apply_write(state, event.operation)
    if after is None:
        if event.answer == state:
            yield state
    elif event.answer in (DONE, None):
        yield after


def _apply_write(state: str, call: Mapping[str, Any]) -> str | None:
    """Return the bucket after a write, or None where its condition refuses it."""
    fake_table, item = StrictFakeDynamoDB(), to_item(json.loads(state))
    fake_table.put_item(TableName="t", Item=item, ConditionExpression="attribute_not_exists(pk)")
    try:
        fake_table.update_item(**{**call, "TableName": "t"})
    except ClientError:
        return None
    return serialise_bucket(from_item(fake_table.get_item(TableName="t", Key=call["Key"])["Item"]))
