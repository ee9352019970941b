"""The evidence: experiments, baselines and benchmarks."""
