"""Every kind of task through the whole loop, with a scripted language model and a person."""

import asyncio
import json

import pytest

from querist.memory.answers import name_of
from querist.memory.records import Split
from querist.tools.kinds import find_kind

LABELS = {"classification": ["up", "down"], "relation": ["causes", "contains", "Other"]}


@pytest.mark.parametrize("kind", ["classification", "matching", "relation", "preference"])
def test_a_kind_runs_from_its_file_to_its_model(kind, scripted, tmp_path):
    known = LABELS.get(kind) or [label.name for label in find_kind(kind).labels]
    rows = [
        {
            "left": f"{known[n % len(known)]} case {n}",
            "right": f"other {n % 7}",
            "label": known[n % len(known)],
        }
        for n in range(90)
    ]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows[:60])))
    (tmp_path / "held.jsonl").write_text("\n".join(map(json.dumps, rows[60:])))

    def reads(request):
        shown = request.messages[-1].content.split("\n")[0]
        said = next((name for name in known if f'"{name} case' in shown), None)
        if said is None:  # a text without content, to measure its bias
            return {name: 1 / len(known) for name in known}
        return {name: 0.9 if name == said else 0.1 / (len(known) - 1) for name in known}

    body = {"name": "t", "kind": kind, "labels": dict.fromkeys(known, "")}
    run, _ = scripted(
        reply=reads,
        task=body,
        data={
            "pool": str(tmp_path / "pairs.jsonl"),
            "test": str(tmp_path / "held.jsonl"),
            "text": ["left", "right"],
        },
        loop={"rounds": 2, "batch": 16},
    )
    run_task = run.view().task
    assert run_task.names == tuple(known)
    assert asyncio.run(run.drive()).status == "finished"
    context = run.view()
    labels = context.labelling.labels()
    assert {label.source for label in labels} == {"human", "llm"}
    assert {type(label.answer) for label in labels} == {type(find_kind(kind).answer_of(known[0]))}
    truth = {example.id: example.gold for example in context.view.known(Split.POOL)}
    right = [label.answer == truth[label.example] for label in labels if label.source == "llm"]
    assert sum(right) > 0.9 * len(right)
    assert all(name_of(label.answer) in known for label in labels)
    assert context.files.path("model/config.json").is_file()
    assert context.journal.rounds()[-1].detail["test"] is not None
