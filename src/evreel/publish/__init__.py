"""How a release is made: files compressed for others, what was found in them, the whole folder."""
