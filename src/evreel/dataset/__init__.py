"""A data set as its config and table describe it: settings, recordings, what is made from what."""
