"""People's answers: taken in, and checked by other people."""
