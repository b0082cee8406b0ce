"""Building a release: files made ready for others, a record of each, the whole folder."""
