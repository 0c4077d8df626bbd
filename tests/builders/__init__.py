"""Builders of valid objects, with one argument for the subject of a test."""
