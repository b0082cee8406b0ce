"""The files that evreel makes: bytes ↔ the types of the rows above, nothing else."""
