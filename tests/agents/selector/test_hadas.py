"""HADAS: scores, measures, selection."""

import numpy as np
import pytest

from querist.agents.selector.advice.faithfulness import (
    MEASURES,
    coherence,
    frame_support,
    lexical_precision,
)
from querist.agents.selector.strategies.hadas import (
    hadas,
    jensen_shannon,
    profile,
    rank_summaries,
    score,
)

DOCUMENT = "The mayor opened the bridge on Monday. It cost 40 million and is not yet paid for."


def test_the_worked_divergences():
    p, q = np.array([0.2, 0.3, 0.5]), np.array([0.5, 0.3, 0.2])
    assert jensen_shannon(p, q) == pytest.approx(0.06641, abs=1e-5)
    profiles = profile(np.array([[0.9, 0.5, 0.1], [0.1, 0.5, 0.9]]))
    assert jensen_shannon(*profiles) == pytest.approx(0.24538, abs=1e-5)
    level = profile(np.array([[0.9] * 3, [0.1] * 3]))
    assert jensen_shannon(*level) == pytest.approx(0)


def test_the_weight_goes_from_degree_to_diversity():
    measures = np.array([[0.1, 0.1, 0.1], [0.9, 0.5, 0.1], [0.9, 0.9, 0.9]])
    labelled = np.array([[0.5, 0.5, 0.5]])
    assert list(np.argsort(-score(measures, labelled, diversity=0))) == [0, 1, 2]
    assert np.argmax(score(measures, labelled, diversity=1)) == 1
    nothing = score(measures, np.empty((0, 3)), diversity=0.33)
    assert nothing == pytest.approx(0.67 * (1 - measures.mean(axis=1)))


def test_the_other_orientation_prefers_faithful_summaries():
    measures = np.array([[0.1] * 3, [0.9] * 3])
    for orientation, best in (("hallucination", 0), ("faithfulness", 1)):
        assert score(measures, np.empty((0, 3)), orientation=orientation).argmax() == best


@pytest.mark.parametrize(
    ("measure", "good", "bad"),
    [
        (frame_support, "The mayor opened a bridge that cost 40 million.", "The bridge cost 70."),
        (frame_support, "The bridge is open.", "The bridge was built by Napoleon."),
        (coherence, "The bridge is open. The bridge cost a lot.", "bridge bridge bridge bridge"),
        (lexical_precision, "The bridge opened on Monday.", "Zebras quietly juggle violins."),
    ],
)
def test_the_stand_ins_tell_good_from_bad(measure, good, bad):
    found = measure([DOCUMENT, DOCUMENT], [good, bad])
    assert found[0] > found[1]
    assert ((found >= 0) & (found <= 1)).all()


def test_the_stand_ins_bear_anything():
    for measure in MEASURES:
        found = measure(["", "a", DOCUMENT], ["?!", "", "1,000.5"])
        assert np.isfinite(found).all()


def summarise(request):
    text = request.messages[1].content
    return "Napoleon paid 99 zebras." if "invoice" in text else text.split('"')[1]


def test_the_summary_that_invents_is_asked_first(make_pool, scripted):
    result = hadas().query(make_pool().context(scripted(summarise)), 2)
    assert result.ids[0] == "t1"
    assert result.diagnostics["summaries"]["t1"].startswith("Napoleon")
    assert result.diagnostics["llm_calls"] == 8


def test_measures_are_plug_ins(make_pool, scripted):
    def long(documents, summaries):
        return np.array([1 - len(document) / 100 for document in documents])

    result = rank_summaries(make_pool().context(scripted(summarise)), 1, measures=[long])
    assert result.ids[0] == "t2"
