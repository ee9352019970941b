"""Benchmarks against other libraries, each a module to run: `python -m querist.evals.bench.X`."""
