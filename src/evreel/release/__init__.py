"""Releases: building one, verifying one."""
