"""Texts to vectors, and finding the nearest of them."""
