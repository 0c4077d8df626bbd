"""Every use case that writes, dying before and after each call it makes."""
