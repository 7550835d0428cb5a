"""Times artifacts on this host, side by side in one run, so that their ratio means something.

once      what happens once, each artifact in a process of its own: load, first inference, peak memory
sampling  steady state, all artifacts in one process in turn: A B B A
against   the vendor's plain export of the same eager model, to be timed beside
profiling where the time of a run goes, as each runtime tells it
roofline  what share of the machine's arithmetic peak a run reaches
machine   what the numbers were measured on, and whether it was quiet enough to compare
"""
