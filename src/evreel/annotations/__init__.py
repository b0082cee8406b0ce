"""Annotations: shapes and tags as people draw them, laid on events; CVAT's files."""
