"""The nouns of Querist and their durable home."""
