"""The work of a round, a module a step."""
