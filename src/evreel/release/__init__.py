"""Releases: building one from a plan, verifying one, opening one.

A release is a folder with a data set and the lists that prove it complete, which
`evreel.release.manifest` describes.
"""
