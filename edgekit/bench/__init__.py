"""Times artifacts on this host, side by side in one run, so that their ratio means something.

once      what happens once, each artifact in a process of its own: load, first inference, peak memory
sampling  steady state, all artifacts in one process in turn: A B B A
machine   what the numbers were measured on, and whether it was quiet enough to compare
"""
