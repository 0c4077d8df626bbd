"""What operators and finance call."""
