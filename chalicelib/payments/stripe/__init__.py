"""Stripe through its SDK. Import its modules by :mod:`chalicelib.payments.lazy_stripe` alone."""
