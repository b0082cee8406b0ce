"""Annotations: shapes and tags as people draw them, joined with events; CVAT's files."""
