"""What annotation tools hand out, read as rows, and what they take in."""
