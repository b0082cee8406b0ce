"""Damaged recordings of every format: a reader yields events, or raises one of evreel's errors.

``python -m support.fuzz --help``, from tests/, runs it; each module beside `__main__` and `damage`
is a group of formats that gives its `ORIGINALS`.
"""
