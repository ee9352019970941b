"""Other libraries' loops, each run in an interpreter of its own that has them."""
