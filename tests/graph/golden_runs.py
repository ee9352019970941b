"""The runs whose labels `golden_labels.json` keeps; `test_golden.py` runs this file.

It says under which kernels, too: two texts that are nearly as doubtful change places with the last
digits, and everything after follows.
"""

import asyncio
import json
from pathlib import Path

import pytest

from querist.memory.run.labelling import Labelling

GOLDEN = Path(__file__).with_name("golden_labels.json")
RUNS = {
    "auto": {},
    "votes": {"annotator": {"votes": 3, "shared": 4, "nearest": 2}},
    "people only": {
        "annotator": {"enabled": False},
        "loop": {"strategy": "margin"},
        "people": {"error_rate": 0.0},
    },
    "grouped": {"loop": {"strategy": "cluster_margin"}},
    "typical": {"loop": {"strategy": "typiclust"}},
    "composed": {"loop": {"strategy": "0.5*margin@4 > k_center + 0.5*entropy"}},
    "remembers": {"loop": {"strategy": "eagle_llm"}},
    "generates": {"generator": {"enabled": True}, "loop": {"rounds": 4}},
}


def labels_of(run):
    """One line a label: when, by whom, what, of which text."""
    labels = Labelling(run.store, run.id).labels()
    texts = run.view().view.get([label.example for label in labels])
    return sorted(
        f"{label.round} {label.source} {label.answer.value}: {example.text}"
        for label, example in zip(labels, texts, strict=True)
    )


@pytest.mark.parametrize("name", RUNS)
def test_a_seeded_run_gives_the_labels_it_always_gave(name, scripted, uneven_pool, request):
    sections = RUNS[name]
    if name == "generates":
        sections = {**sections, "data": {"pool": str(uneven_pool)}}
    run, _ = scripted(**sections)
    asyncio.run(run.drive())
    found = labels_of(run)
    golden = json.loads(GOLDEN.read_text()) if GOLDEN.exists() else {}
    if request.config.getoption("--write-golden"):
        golden[name] = found
        GOLDEN.write_text(json.dumps(golden, ensure_ascii=False, indent=1) + "\n")
    assert found == golden[name]
