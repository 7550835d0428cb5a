"""Operators that models are written with and rewrites recognise."""
