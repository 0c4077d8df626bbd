"""Doubles of other companies' services, built from their documentation and from recorded answers."""
