"""Routes of operators and finance."""
