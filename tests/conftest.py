"""Fixtures of all tests; what tests import is in `support`."""
