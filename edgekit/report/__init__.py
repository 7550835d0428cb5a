"""One page from stored results: what was run, with what outcome, on what. Nothing is measured here.

entry      a JSON object that somebody else wrote, asked member by member
evidence   which files are there, and what each is
manifests  what a manifest says, as one row an artifact
timings    what a measurement says, as one row a method
page       what a page is made of: sections of texts, tables and figures
chart      small inline SVG pictures
sections   one file a section: from rows to texts, tables and figures
html, markdown  the same page in two forms

A figure always has its table beside it, what is missing is shown as missing, and every number stands near what it was measured on.
"""
