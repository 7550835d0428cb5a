"""Holds artifacts to committed budgets: how large, how many operators, how close to eager, how fast.

    budgets.toml ── budgets ──┐
                              ├── check ── report ── document, markdown
    artifact ────── measure ──┘              ├────── why      what grew against an earlier report, what is stored twice
                    latency (on request)     └────── ratchet  writes what was reached back into budgets.toml

    kinds      the metrics there are, their units, which way is better
    base       an earlier report, to compare with
    pareto     which artifacts of a model no other beats in everything
    accuracy   labelled pictures, on request, as latency

Nothing is run unless these two are asked for: all else is read from the artifact and its manifest, and the same on every machine.
"""
