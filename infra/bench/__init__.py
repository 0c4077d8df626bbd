"""The benchmark of stock: every figure is a ratio, or counted; nothing of it is kept in the product."""
