"""An interpreter for Core ML programs (MIL): reads a package's program and computes it operator by operator.

    program.py      the program as plain data: functions, blocks, operators, constants
    types.py        types of values; weights.py  the weights file
    interpreter.py  runs a function in one of two numerics, control flow and state included
    operators/      what each operator computes, one family a file

It proves what the *program* computes. Apple's runtime, its kernels and where they run are not part of it.
"""
