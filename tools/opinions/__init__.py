"""Opinions and what they are worth: calibration, pooling, votes, quality, plateau."""
