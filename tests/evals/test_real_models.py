"""The table of what written rows are worth, on guesses made by hand."""

from querist.evals.creation.real_models import Measured, as_table


def test_scores_are_means_over_seeds_and_gains_are_paired():
    truth = [0, 1] * 50
    good, poor = truth, [0] * 100

    def run(seed, dataset="sst2", made=good):
        guesses = {
            "real 100": poor,
            "real 100 + written": made,
            "real 100, weighted": poor,
            "real 200": good,
        }
        return Measured(dataset, seed, "local", 20, 10, "rows", 60.0, truth, guesses)

    rows = as_table([run(0), run(1), run(2, made=poor)]).splitlines()[2:]
    assert rows[0].startswith(
        "| sst2, local (3) | 10 of 20, 1.0 | 50.0 | 83.3 | 50.0 | 100.0 | +33.3 ("
    )
    assert "| +0.0 (+0.0 to +0.0) | +50.0 (+" in rows[0]
    macro = as_table([run(0, dataset="hate_offensive")]).splitlines()[2]
    assert "| 33.3 | 100.0 | 33.3 | 100.0 |" in macro  # F1 of 2/3 and of 0
