"""What a run works with: its part of the store, its models, its pool."""
