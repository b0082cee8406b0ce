"""Functions under the names of other tools: scripts need only change their imports."""
