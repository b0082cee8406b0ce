"""Recordings that hold many samples: the time, class and split of each sample.

`cut` finds samples by a table of intervals or by the members of an archive; `splits` gives each
sample its split.
"""
