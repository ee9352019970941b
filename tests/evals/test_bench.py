"""Benches run seldom; what they reach into must be there all the same."""

from querist.evals.bench.scale import TAKEN_OUT


def test_the_times_that_the_scale_bench_takes_out_are_of_what_is_there() -> None:
    missing = [name for place, name in TAKEN_OUT if not hasattr(place, name)]
    assert not missing
