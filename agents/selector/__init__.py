"""The selector decides how to choose the next examples to label, and how many."""
