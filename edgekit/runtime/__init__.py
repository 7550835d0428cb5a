"""Running artifacts on this host."""
