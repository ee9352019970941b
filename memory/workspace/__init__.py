"""What runs share: people, jobs, lessons, vectors, messages to others."""
