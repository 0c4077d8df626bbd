"""The whole system on one machine: the embedded AWS engine, and the HTTP front before it."""
