"""The files that evreel makes: bytes ↔ types of the rows above, nothing else."""
