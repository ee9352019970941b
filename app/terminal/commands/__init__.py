"""What is typed: a module a group of commands."""
