"""Decides what of a network becomes integers on a target: from what each operator costs there, and from what rounding it does to the answers."""
