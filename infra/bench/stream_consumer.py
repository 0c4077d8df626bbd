"""Run the stock stream's function: feed the product's own handler from the emulator's stream, as AWS Lambda does."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import boto3

from chalicelib.instants import SECOND, clock
from chalicelib.streams import stock as stock_stream
from infra.bench.environment import STOCK, BenchEnvironment

if TYPE_CHECKING:
    from mypy_boto3_dynamodbstreams import DynamoDBStreamsClient

POLL_SECONDS: Final = 0.25
"""Lambda polls a stream's shard four times a second (AWS Lambda developer guide, "Using Lambda with DynamoDB")."""

BATCH: Final = 1_000
"""``StockBatch`` in the template."""


@contextmanager
def stream_consumer(bench_env: BenchEnvironment) -> Iterator[None]:
    """Update live summaries from the stock table's stream until the block ends."""
    streams = boto3.client("dynamodbstreams")
    iterator = _newest(streams)
    stopped = threading.Event()
    faults: list[BaseException] = []

    def consume() -> None:
        try:
            _consume(bench_env, streams, iterator, stopped)
        except BaseException as fault:
            faults.append(fault)

    thread = threading.Thread(target=consume)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
    if faults:
        raise faults[0]


def _consume(
    bench_env: BenchEnvironment, streams: DynamoDBStreamsClient, iterator: str, stopped: threading.Event
) -> None:
    while not stopped.wait(POLL_SECONDS):
        answer = streams.get_records(ShardIterator=iterator, Limit=BATCH)
        iterator = answer["NextShardIterator"]
        if answer["Records"]:
            records = [_as_lambda_record(record) for record in answer["Records"]]
            stock_stream.refresh_summaries({"Records": records}, bench_env.shows, bench_env.stock, clock)


def _newest(streams: DynamoDBStreamsClient) -> str:
    (stream,) = streams.list_streams(TableName=STOCK)["Streams"]
    shards = streams.describe_stream(StreamArn=stream["StreamArn"])["StreamDescription"]["Shards"]
    answer = streams.get_shard_iterator(
        StreamArn=stream["StreamArn"], ShardId=shards[-1]["ShardId"], ShardIteratorType="LATEST"
    )
    return answer["ShardIterator"]


def _as_lambda_record(record: Any) -> dict[str, Any]:
    """Convert a record of the SDK, which has a datetime, to one of a Lambda event, which has seconds."""
    created = record["dynamodb"].get("ApproximateCreationDateTime")
    seconds = clock() / SECOND if created is None else created.timestamp()
    return {"dynamodb": {"Keys": record["dynamodb"]["Keys"], "ApproximateCreationDateTime": seconds}}
