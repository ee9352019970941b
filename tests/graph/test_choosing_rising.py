"""Heads that are trained while they are compared (TI-UCB): what is played, told and redone."""

import asyncio
import json
import math

import pytest

from querist.agents.models.providers.scripted import ScriptedModel
from querist.graph.choosing.rising import ARMS, USUAL_TRIES, choose_rising_head
from querist.graph.choosing.session import last_result, opened
from querist.graph.config import make_config
from querist.memory.errors import InvalidInput
from querist.memory.run.journal import Journal
from querist.memory.store import open_store
from querist.tools.arms.heads import SPACE


@pytest.fixture
def config(tmp_path):
    """Texts of three labels, every fifth of them labelled wrong so that no head gets all right."""

    def make(rows=90, seed=0):
        names = ["bad", "good", "odd"]
        words = ["dull", "great", "strange"]
        lines = [
            {
                "id": f"e{i}",
                "text": f"number {i} {words[i % 3]}",
                "label": names[(i + (i % 5 == 0)) % 3],
            }
            for i in range(rows)
        ]
        pool = tmp_path / f"pool{rows}.jsonl"
        pool.write_text("\n".join(map(json.dumps, lines)))
        body = {
            "task": {"name": "films", "labels": names},
            "data": {"pool": str(pool), "text": "text", "gold": "label", "embedder": "hashing"},
            "models": {"annotator": "script"},
            "prices": {"script": {"input": "1", "output": "1"}},
            "loop": {"seed": seed},
        }
        return make_config(body, source="test")

    return make


def choose(
    folder, config, *, evaluations=None, proposer="random", stop=lambda: False, reply="no idea"
):
    """Choose in a workspace; give what was chosen and all pulls of its journal."""

    async def run(store):
        async with opened(
            store,
            config,
            what="architecture",
            spec={},
            models={"script": ScriptedModel(lambda _: reply, name="script")},
            should_stop=stop,
        ) as session:
            chosen = await choose_rising_head(session, evaluations=evaluations, proposer=proposer)
            return chosen, session.context.run.id

    with open_store(folder) as store:
        chosen, name = asyncio.run(run(store))
        events = [event for event in Journal(store, name).events() if event.kind == "tried"]
        assert last_result(store, name) == chosen
    return chosen, [pull for event in events for pull in event.data["pulls"]]


def test_every_try_is_an_epoch_and_all_are_used(tmp_path, config):
    chosen, pulls = choose(tmp_path / "work", config())
    assert len(pulls) == sum(row.pulls for row in chosen.rows) == USUAL_TRIES * ARMS
    tries = {arm: [pull[1] for pull in pulls if pull[0] == arm] for arm in range(ARMS)}
    assert all(told == list(range(len(told))) for told in tries.values())
    assert all(len(told) >= 2 for told in tries.values())
    assert [pull[0] for pull in pulls[: 2 * ARMS]] == [i // 2 for i in range(2 * ARMS)]


def test_the_rows_tell_the_latest_accuracy_and_the_note_the_sum(tmp_path, config):
    chosen, pulls = choose(tmp_path / "work", config())
    latest = {arm: reward for arm, _, reward, *_ in pulls}
    assert [row.mean for row in chosen.rows] == sorted(latest.values(), reverse=True)
    assert chosen.winners == (chosen.rows[0].name,)
    assert not SPACE.problems(chosen.records[0])
    total = math.fsum(reward for _, _, reward, *_ in pulls)
    assert any(f"240 tries: {total:.1f}." in note for note in chosen.notes)
    assert any(row.levelled_after for row in chosen.rows)
    assert all(row.levelled_after in {None, *range(20, row.pulls + 1)} for row in chosen.rows)


def test_equal_shares_get_what_the_note_says_when_tries_are_all_forced(tmp_path, config):
    chosen, pulls = choose(tmp_path / "work", config(), evaluations=2 * ARMS)
    total = math.fsum(reward for _, _, reward, *_ in pulls)
    assert any(f"equal shares {total:.1f}." in note for note in chosen.notes)
    assert any("No head was seen to level off" in note for note in chosen.notes)


def test_the_same_seed_plays_the_same_and_another_does_not(tmp_path, config):
    first = choose(tmp_path / "one", config(), evaluations=40)
    second = choose(tmp_path / "two", config(), evaluations=40)
    other = choose(tmp_path / "other", config(seed=7), evaluations=40)
    assert first == second
    assert other[1] != first[1]


def test_what_was_stopped_ends_like_what_was_not(tmp_path, config):
    whole = choose(tmp_path / "whole", config(), evaluations=40)
    looks = iter([False] * 25 + [True])
    stopped, few = choose(tmp_path / "work", config(), evaluations=40, stop=lambda: next(looks))
    assert (stopped.status, len(few)) == ("paused", 25)
    assert not any("On the same heads" in note for note in stopped.notes)
    resumed = choose(tmp_path / "work", config(), evaluations=40)
    assert resumed == whole


def test_a_stop_while_it_compares_leaves_the_note_out(tmp_path, config):
    looks = iter([False] * 40 + [True] * 9)
    chosen, _ = choose(tmp_path / "work", config(), evaluations=40, stop=lambda: next(looks))
    assert chosen.status == "finished"
    assert not any("On the same heads" in note for note in chosen.notes)


def test_what_is_stopped_at_once_has_chosen_nothing(tmp_path, config):
    chosen, pulls = choose(tmp_path / "work", config(), stop=lambda: True)
    assert (chosen.status, chosen.winners, chosen.records, pulls) == ("paused", (), (), [])


def test_more_evaluations_go_on_from_what_was_tried(tmp_path, config):
    _, few = choose(tmp_path / "work", config(), evaluations=30)
    _, more = choose(tmp_path / "work", config(), evaluations=50)
    whole = choose(tmp_path / "whole", config(), evaluations=50)[1]
    assert few == more[:30]
    assert more == whole


def test_other_heads_are_not_taken_for_the_same(tmp_path, config):
    _, random = choose(tmp_path / "work", config(), evaluations=20)
    chosen, both = choose(tmp_path / "work", config(), evaluations=20, proposer="grid")
    assert len(both) == len(random) + 20
    assert not any("nothing to mutate" in note for note in chosen.notes)


@pytest.mark.parametrize(
    ("proposer", "hint"),
    [("mutation", "nothing to mutate"), ("llm", "1 of 4 proposals of the language model")],
)
def test_it_is_told_where_heads_are_from(tmp_path, config, proposer, hint):
    head = {"depth": 2, "width": 32, "activation": "relu", "dropout": 0.2}
    reply = json.dumps({"proposals": [head, {"depth": 9}]})
    chosen, _ = choose(tmp_path / "work", config(), evaluations=20, proposer=proposer, reply=reply)
    assert any(hint in note for note in chosen.notes)
    named = ", ".join(f"{key} {value}" for key, value in head.items())
    assert (named in {row.name for row in chosen.rows}) == (proposer == "llm")


def test_too_few_epochs_for_a_trend_are_refused(tmp_path, config):
    with pytest.raises(InvalidInput, match=r"15 evaluations .* \(--evaluations 16\)"):
        choose(tmp_path / "work", config(), evaluations=15)


def test_too_few_examples_to_train_on_are_refused(tmp_path, config):
    with pytest.raises(InvalidInput, match="20 are needed"):
        choose(tmp_path / "work", config(rows=15))
