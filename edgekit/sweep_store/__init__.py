"""What sweeps have done, kept: one SQLite file, and beside it a folder of the artifacts by their content.

    store         the file: a row a cell and attempt, never changed; who works on what; what was asked for
    content       the artifacts, by the sha256 of what they hold
    predictions   what a network or an artifact answered on each picture, in integers, and how parts of it are put together
    table         one row an artifact: size, verdict, accuracy beside eager, time

Nothing here runs anything: reports and gates read it.
"""
