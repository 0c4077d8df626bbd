"""Races of threads and processes. Each has a control that must be caught."""
