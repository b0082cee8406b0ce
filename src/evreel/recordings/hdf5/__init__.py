"""HDF5 files of events that others made."""
