"""Prompt texts, versioned by their content."""
