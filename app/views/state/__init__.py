"""Where a run and its examples stand, read from the store alone: for terminal, pages and agents."""
