"""What buyers call: carts, checkout sessions, orders and the catalog, in UCP."""
