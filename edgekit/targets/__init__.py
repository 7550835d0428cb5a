"""Where a model runs: one package a format, none of which knows another."""
