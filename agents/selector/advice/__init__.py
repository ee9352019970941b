"""What the selector's strategies share when they ask a language model."""
