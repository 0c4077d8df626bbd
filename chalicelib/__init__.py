"""livedrop: the checkout back end for a live show's busiest minute."""
