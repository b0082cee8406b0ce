"""Damaged recordings of every format: a reader yields events, or raises one of our errors."""
