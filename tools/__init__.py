"""The deterministic verbs: scoring, choosing, embedding, retrieving, training, calibrating."""
