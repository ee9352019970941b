"""Training: the proxy that the loop steers by, and the target that people take home."""
