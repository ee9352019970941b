"""Experiments whose tables are in the docs, each a module to run."""
