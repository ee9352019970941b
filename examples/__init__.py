"""Examples that come with Querist."""
