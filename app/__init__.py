"""What people touch: the command line, later the pages."""
