"""The benchmark of stock. Every figure is a ratio or a count. The product contains no code for it."""
