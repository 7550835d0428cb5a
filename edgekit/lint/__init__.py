"""Predicts from published rules which operators of an artifact an accelerator may not take, or takes badly.

    rules.py           what a rule and a finding are
    mil_graph.py       a Core ML function as the Neural Engine's rules look at it
    neural_engine.py   rules for .mlpackage, as Apple publishes them; neural_engine_checks.py finds them broken
    litert_gpu.py      rules for .tflite, from the sources of LiteRT's GPU delegate
    xnnpack.py         rules for .tflite and .pte, from what XNNPACK really took
    registry.py        all rules, and which artifacts they are for
    run.py             reads an artifact, applies its rules, adds where each operator comes from

Nothing here runs on a phone, so a finding is a prediction, and every output says so.
"""
