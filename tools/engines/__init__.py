"""The numerics that strategies share, each written once."""
