"""The sandbox: a payment provider for laptops and tests, deterministic by token."""
