"""What a weak annotator's word teaches a tuned encoder, weighed beside one witness or another.

    python -m querist.evals.experiments.distilling .querist/calibration/*

Reads the last run of each workspace, as `calibration --datasets` makes them: of a pool with known
answers, people labelled 100 texts and the embedded model nearly all others. MiniLM is tuned on
people's labels alone, and on those with what the annotator said of the others, weighed beside the
opinion of a linear head that people taught (`with head`, as the loop weighs it) or of the encoder
tuned on people's labels (`with target`, as a run does at its end); at most `--steps` batches of 32.
Accuracy on the test texts. `on held-out labels` is what people's labels that neither saw say of the
encoder alone, and with the annotator's word beside it: only where more are right, it is taught.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

import numpy as np

from querist.graph.round.knowledge import Knowledge
from querist.graph.run import Run
from querist.graph.target.distilling import by_people, compare_on_people, distilled
from querist.graph.workplace.context import Context
from querist.memory.records import Example, Split
from querist.memory.store import open_store
from querist.tools.compute.arrays import FloatArray
from querist.tools.opinions.training_set import TrainingSet
from querist.tools.training.encoder_tuning import Recipe
from querist.tools.training.fine_tuned import FineTunedPredictor, FineTunedTrainer
from querist.tools.training.port import Inputs, TrainingRows

_HEAD = (
    "data", "people", "others", "annotator right", "target right", "both right",
    "tuned on people", "with head", "with target", "on held-out labels",
)  # fmt: skip


def main() -> None:
    """Print a line for each workspace."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspaces", nargs="+", type=Path)
    parser.add_argument("--steps", type=int, default=60)
    options = parser.parse_args()
    print(f"| {' | '.join(_HEAD)} |\n|{'---|' * len(_HEAD)}", flush=True)
    for workspace in options.workspaces:
        with open_store(workspace) as store:
            row = asyncio.run(_measure(Run.open(store), options.steps))
        print(f"| {' | '.join(row)} |", flush=True)


async def _measure(run: Run, steps: int) -> list[str]:
    async with run.borrowed() as context:
        knowledge = Knowledge(context, model=None, whole=True)
        return await _arms(context, knowledge, steps)


async def _arms(context: Context, knowledge: Knowledge, steps: int) -> list[str]:
    people = by_people(knowledge.training_set)
    alone = _fitted(context, people, steps)
    held_out = alone.held_out
    found = None if held_out is None else compare_on_people(knowledge, people, held_out)
    beside_target = await distilled(context, knowledge, people, alone)
    beside_head = _beside_head(knowledge, beside_target)
    others = np.setdiff1d(np.arange(len(beside_target.ids)), beside_target.human)
    texts = context.view.get([beside_target.ids[row] for row in others])
    said = np.stack([knowledge.reliability.calibrated[text.id] for text in texts])
    on_others = [said, _chances(alone, texts), beside_target.targets[others]]
    test = context.view.known(Split.TEST)
    taught = [alone, *(_fitted(context, rows, steps) for rows in (beside_head, beside_target))]
    return [
        context.task.name,
        str(len(people.ids)),
        str(len(others)),
        *[_right(context, chances, texts) for chances in on_others],
        *[_right(context, _chances(predictor, test), test) for predictor in taught],
        "" if found is None else f"{found.alone:.3f}, {found.together:.3f}",
    ]


def _fitted(context: Context, rows: TrainingSet, steps: int) -> FineTunedPredictor:
    texts = [example.text for example in context.view.get(rows.ids)]
    learnt = TrainingRows(
        inputs=Inputs(texts=texts),
        targets=rows.targets,
        weights=rows.weights,
        classes=context.answers.names,
        seed=context.config.loop.seed,
        judges=rows.human,
    )
    return FineTunedTrainer(Recipe(most_steps=steps)).fit(learnt)


def _chances(predictor: FineTunedPredictor, examples: list[Example]) -> FloatArray:
    return predictor.predict_proba(Inputs(texts=[example.text for example in examples]))


def _right(context: Context, chances: FloatArray, examples: list[Example]) -> str:
    gold = context.answers.places([example.gold for example in examples])
    return f"{(chances.argmax(axis=1) == gold).mean():.3f}"


def _beside_head(knowledge: Knowledge, rows: TrainingSet) -> TrainingSet:
    """Weigh what was said of the same rows as the loop does."""
    made = knowledge.training_set
    place = {name: row for row, name in enumerate(made.ids)}
    order = np.array([place[name] for name in rows.ids if name in place])
    return TrainingSet(
        ids=tuple(made.ids[row] for row in order),
        inputs=made.inputs[order],
        targets=made.targets[order],
        weights=made.weights[order],
        human=np.arange(len(rows.human)),
    )


if __name__ == "__main__":
    main()
