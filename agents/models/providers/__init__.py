"""The providers behind the port, each with what is odd about it."""
