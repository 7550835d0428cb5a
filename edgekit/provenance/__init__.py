"""Where an artifact comes from, in forms that others can check.

    lock        digests and versions of artifacts that were agreed on; a rebuild has to give the same
    statement   in-toto statement with SLSA's provenance predicate: what was made, from what, by which tools
    sbom        CycloneDX bill of materials: the same as a list of components, with every package that took part
    check       holds statement and bill beside an artifact against its files and its manifest

All of it is made from the manifest and the installed packages, and holds no time: equal exports have equal statements. Nothing is signed: edgekit
has no keys. A signature over the statement (cosign, gh attestation) says who vouches for it.
"""
