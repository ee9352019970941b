"""Features chosen from their names: what a score is, and when an order means nothing."""

import asyncio
import json

import pytest
from tests_files_support import write

from querist.agents.models.providers.scripted import ScriptedModel
from querist.app.actions.choosing import show_result
from querist.app.terminal.screen import Screen
from querist.graph.choosing import subsets
from querist.graph.choosing.session import opened
from querist.graph.config import make_config
from querist.memory.errors import InvalidInput
from querist.memory.store import open_store

TABLE = "price;rooms;door;area\n1;2;rød;3\n2;3;blå;4\n"


def choose(tmp_path, reply, *, way="score", count=2):
    """Choose among the columns of a table in Windows-1252; give what was chosen and the words."""
    table = write(tmp_path / "houses.csv", TABLE.encode("cp1252"))
    body = {
        "task": {"labels": ["kept", "left"]},
        "data": {"pool": str(table)},
        "models": {"annotator": "script"},
        "prices": {"script": {"input": "1", "output": "1"}},
    }
    config = make_config(body, source="test")

    async def run(store):
        model = ScriptedModel(reply, name="script")
        async with opened(
            store, config, what="features", spec={}, models={"script": model}, has_pool=False
        ) as session:
            chosen = await subsets.choose_features(
                session, table, target="price", way=way, count=count
            )
            return chosen, session.usd

    store = open_store(tmp_path / "work")
    chosen, usd = asyncio.run(run(store))
    store.close()
    show_result(Screen(), chosen, spent=usd, cap=config.budget.usd)
    return chosen


def scores(**by_name):
    def reply(request):
        asked = request.messages[-1].content
        return json.dumps({"score": next(s for name, s in by_name.items() if name in asked)})

    return reply


def test_a_score_is_explained(tmp_path, capsys):
    chosen = choose(tmp_path, scores(rooms=0.9, door=0.1, area=0.5))
    assert chosen.winners == ("rooms", "area")
    output = capsys.readouterr().out
    assert "a score from 0 (no help) to 1, from the columns' names alone" in output
    assert "means nothing" not in output


def test_equal_scores_choose_nothing_and_say_so(tmp_path, capsys):
    assert choose(tmp_path, scores(rooms=0.8, door=0.8, area=0.8)).winners == ()
    output = capsys.readouterr().out
    assert "Every column got the score 0.800: this order means nothing" in output
    assert "--method rank or seq" in output
    assert "Chosen" not in output


def test_columns_that_share_the_last_place_are_named(tmp_path, capsys):
    choose(tmp_path, scores(rooms=0.9, door=0.4, area=0.4))
    assert "door, area have the same score" in capsys.readouterr().out


@pytest.mark.parametrize("way", ["score", "rank"])
def test_a_model_that_does_not_answer_chooses_nothing(tmp_path, capsys, way):
    assert choose(tmp_path, lambda _: "no idea", way=way).winners == ()
    assert "The model named no column: this order means nothing" in capsys.readouterr().out


def test_the_order_of_the_table_is_no_ranking(tmp_path, capsys):
    listed = json.dumps({"ranking": ["rooms", "door", "area"]})
    choose(tmp_path, lambda _: listed, way="rank")
    assert "the order in which the columns stand in the table" in capsys.readouterr().out


def test_what_was_added_one_by_one_has_no_score(tmp_path, capsys):
    chosen = choose(tmp_path, lambda _: "area", way="seq", count=1)
    assert chosen.winners == ("area",)
    assert "nan" not in capsys.readouterr().out


def test_a_target_that_is_not_there_is_named_with_few_of_many_columns(tmp_path):
    table = write(tmp_path / "wide.csv", ",".join(f"c{i}" for i in range(90)) + "\n" + "1," * 90)
    with pytest.raises(InvalidInput, match="and 78 more"):
        subsets.read_features(table, "price", encoding="auto", header=True)
