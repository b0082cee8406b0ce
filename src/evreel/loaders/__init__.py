"""Frames and events for training, computed or read when they are asked for."""
