"""Labelled events to look at: pictures, a slider, summaries of one recording's slices."""
