"""What is done aside of the server, where it takes a module of its own."""
