"""A job that creates rows: the five agents on a graph of their own, wave by wave."""
