"""The crash enumeration: every use case that writes, with a fault at each of its calls."""
