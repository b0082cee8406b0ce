"""Simulated recordings with exact ground truth, from scene files."""
