"""The schedule search: the product's own code under chosen schedules of doubled, cut and late calls."""
