"""Routes of buyers: carts, checkout sessions, orders and the catalog, in UCP."""
