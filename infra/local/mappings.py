"""Event source mappings of the local stack: recreate them after an emulator restart, and pause them.

The emulator keeps the positions of its stream mappings but not the streams' records. After a restart it would deliver
nothing until as many new records exist as it had read before. Mappings recreated at TRIM_HORIZON before any write
deliver every new record. Records that nobody had read when the emulator stopped are lost; ``livedrop recover`` enqueues
their orders.
"""

from __future__ import annotations

from typing import Any

_COPIED_SETTINGS = (
    "EventSourceArn",
    "BatchSize",
    "MaximumBatchingWindowInSeconds",
    "FilterCriteria",
    "DestinationConfig",
    "ParallelizationFactor",
    "MaximumRetryAttempts",
    "MaximumRecordAgeInSeconds",
    "BisectBatchOnFunctionError",
    "FunctionResponseTypes",
)


def recreate_stream_mappings(functions: Any) -> int:
    """Delete and recreate every stream mapping. ``functions`` is a Lambda client. Returns their number."""
    mappings = functions.list_event_source_mappings()["EventSourceMappings"]
    streams = [mapping for mapping in mappings if ":sqs:" not in mapping["EventSourceArn"]]
    for mapping in streams:
        functions.delete_event_source_mapping(UUID=mapping["UUID"])
        functions.create_event_source_mapping(
            FunctionName=mapping["FunctionArn"],
            StartingPosition="TRIM_HORIZON",
            **{name: mapping[name] for name in _COPIED_SETTINGS if mapping.get(name) not in (None, [], {})},
        )
    return len(streams)


def pause_mappings(functions: Any, *, paused: bool) -> None:
    """Stop (or start again) the delivery of every event to every function."""
    for mapping in functions.list_event_source_mappings()["EventSourceMappings"]:
        functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=not paused)
