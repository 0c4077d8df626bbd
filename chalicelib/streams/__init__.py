"""Handlers of the streams, queues and schedules."""
