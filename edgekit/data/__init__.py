"""Real pictures and real weights: fetched, checked, read, and drawn in an order that is the same everywhere."""
