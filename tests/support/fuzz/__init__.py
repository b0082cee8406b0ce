"""Damaged files of every format: a reader yields what is there, or raises one of evreel's errors.

``python -m support.fuzz --help``, from tests/, runs it; each module beside `__main__`, `damage`
and `target` is a group of formats of recordings, which gives its `originals`, or of others, which
gives its `targets`.
"""
