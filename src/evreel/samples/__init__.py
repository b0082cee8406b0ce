"""Recordings that hold many samples: where they lie, what class they are of, which split they take.

`cut` says where samples are, by a table of intervals or by the members of an archive; `members`
reads such an archive as one recording; `splits` gives each sample its split.
"""
