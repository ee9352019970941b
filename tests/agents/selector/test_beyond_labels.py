"""The page on acquisition beyond labels does what it says, from end to end."""

import json
import re
from decimal import Decimal
from pathlib import Path

import numpy as np

from querist.agents.models.providers.scripted import ScriptedModel
from querist.tools.money.prices import Price
from querist.tools.strategies import get

PAGE = Path(__file__).resolve().parents[3] / "docs" / "beyond-labels.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def run(number, **given):
    names = dict(given)
    exec(compile(SNIPPETS[number], str(PAGE), "exec"), names)
    return names


def test_features_are_bought_within_the_budget_and_only_those_that_tell_something():
    names = run(0)
    bought = names["bought"]
    assert 0 < sum(action.price for action in bought) <= 12
    assert all(action.label for action in bought)
    features = [feature for action in bought for feature in action.features]
    assert features
    assert set(features) <= {0, 1}
    # What was paid for is there, and what is missing was not.
    known = int(np.isfinite(names["pool"][:, :2]).sum())
    assert known == len(features)


def test_the_wanted_item_is_found_within_the_account(tmp_path):
    def shop(request):
        if not request.choices:
            return json.dumps({"questions": ["Is it a bike?", "Is it red?"]})
        text = request.messages[1].content
        item, question = text.split("Question:")
        word = "bike" if "bike" in question else "red"
        return {"yes": 1.0, "no": 0.0} if word in item else {"yes": 0.0, "no": 1.0}

    names = run(
        1,
        model=ScriptedModel(shop),
        price=Price(Decimal(1), Decimal(1)),
        folder=tmp_path,
        ask=lambda question: float("red" in question),
    )
    assert names["wanted"] == "red car"
    assert names["policy"].trouble == ""


def test_corrected_summaries_turn_hadas_to_another_way_of_being_wrong(make_pool, scripted):
    def summarise(request):
        text = request.messages[1].content
        if "invoice" in text or "charge" in text:
            return "Napoleon paid 99 zebras."
        return text.split('"')[1] if "rent" not in text else "rent rent rent rent rent"

    pool, advisor = make_pool(), scripted(summarise)
    first = get("hadas").query(pool.context(advisor), 1)
    assert first.diagnostics["summaries"][first.ids[0]]
    pool.labelled |= dict.fromkeys(first.ids, 0)
    plain = get("hadas(diversity=0.0)").query(pool.context(advisor), 1)
    varied = get("hadas(diversity=1.0)").query(pool.context(advisor), 1)
    said = [result.diagnostics["summaries"][result.ids[0]] for result in (first, plain, varied)]
    assert said[0] == said[1] == "Napoleon paid 99 zebras."
    assert said[2] != said[0]
