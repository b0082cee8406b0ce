"""Pictures of events to look at and annotate, and the files that hold them."""
