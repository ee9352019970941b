"""Buying features, settings and preferences: acquisition beyond labels."""
