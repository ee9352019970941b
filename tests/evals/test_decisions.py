"""The bench of decisions tells the rules from chance."""

from querist.evals.minds.decisions import score_plain
from querist.graph.minds.exams import EXAMS


def test_the_rules_are_right_where_they_look_and_chance_is_not():
    for agent in ("budget_controller", "selector", "generator"):
        rules, chance = score_plain("rules", agent), score_plain("random", agent)
        assert rules.right == rules.total == len(EXAMS[agent])
        assert chance.right < 0.75 * chance.total


def test_a_draw_is_within_the_bounds_or_falls_back():
    scores = [score_plain("random", agent, seed=seed) for agent in EXAMS for seed in range(3)]
    assert all(score.right + score.fell_back <= score.total for score in scores)
