"""The command line: names, options, help, and what is typed."""
