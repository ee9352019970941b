"""A language model takes an agent's decision: what it is told, looks up, spends and may say."""
