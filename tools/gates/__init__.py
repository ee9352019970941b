"""Gates: what a written row must pass to be accepted, the cheapest first."""
