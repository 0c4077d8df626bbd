"""Worlds of the simulator: tables, processes, and the invariants of one search."""
