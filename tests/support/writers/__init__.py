"""Recordings as other programs write them, made here for tests."""
