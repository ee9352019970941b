"""Runs and jobs for coding agents, over the Model Context Protocol."""
