"""Data in and out: readers of what people hand in, writers of what other tools read."""
