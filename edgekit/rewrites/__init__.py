"""How a model becomes exportable: one rewrite a file, for any target."""
