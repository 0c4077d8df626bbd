"""Races on the embedded engine, each with a control that must fail."""
