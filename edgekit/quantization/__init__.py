"""What quantizing is, as data: schemes, what of a program takes part, what it is calibrated on. Knows no target."""
