"""Races of many threads and processes, each with a control that must be caught."""
