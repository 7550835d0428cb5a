"""What each MIL operator computes, one family a file; ``registry.py`` lists them all.

A function takes the operator's parameters by their MIL names, as keyword arguments, with the defaults that the
operator reference gives. Values are tensors (floats held in float32, integers and booleans in their own types), strings,
or tuples of these. A parameter that says *how* to compute (an axis, strides, a flag) is a tensor too:
``integer``, ``integers``, ``flag`` and ``number`` of ``context.py`` read it.

Source: the MIL operator reference of Core ML Tools,
https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html
"""
