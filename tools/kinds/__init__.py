"""What kinds of task there are, and what an answer to one is."""
