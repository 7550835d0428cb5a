"""Finished artifacts, kept by everything that decides their bytes: the same export again is a copy, checked by its sha256.

    key      edgekit's own source, installed packages, Python, processor, the request and the content of its files
    store    a folder of entries: whole or absent, bounded, the longest unused leave first
    answer   puts what the cache has into the output folder, as an export would, and keeps what one made

A registered model is known by its name: its answer needs neither torch nor any converter. What a user's own code gives nobody can tell from
outside: it may read files, variables, the clock. So it is run, and the weights, the code that was imported and the eager answers on all
verification samples belong to the key (``evidence``); likewise the pictures that were drawn. Only what was executed and passed is kept.

Not seen: files of installed packages that are edited in place. ``--no-cache`` asks nothing and keeps nothing, ``--check-lock`` builds again.
"""
