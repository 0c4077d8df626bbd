"""Schedule search: the product's own code under chosen interleavings, cuts and late writes."""
