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
from typing import Any

import numpy as np

from querist.graph.round.knowledge import Knowledge
from querist.graph.run import Run
from querist.graph.target.distilling import by_people, compare_on_people, distilled
from querist.graph.workplace.context import Context
from querist.memory.records import Split
from querist.memory.store import open_store
from querist.tools.opinions.training_set import TrainingSet
from querist.tools.training.encoder_tuning import Recipe
from querist.tools.training.fine_tuned import FineTunedTrainer
from querist.tools.training.port import Inputs, Predictor, TrainingRows

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
    trainer = FineTunedTrainer(Recipe(most_steps=steps))
    examples = context.view.known(Split.TEST)
    truth = context.answers.places([row.gold for row in examples])
    test = Inputs(texts=[row.text for row in examples])

    def right(predictor: Predictor) -> str:
        return f"{(predictor.predict_proba(test).argmax(axis=1) == truth).mean():.3f}"

    def fitted(rows: TrainingSet) -> Any:
        texts = [example.text for example in context.view.get(rows.ids)]
        return trainer.fit(
            TrainingRows(
                inputs=Inputs(texts=texts),
                targets=rows.targets,
                weights=rows.weights,
                classes=context.answers.names,
                seed=context.config.loop.seed,
                judges=rows.human,
            )
        )

    people = by_people(knowledge.training_set)
    alone = fitted(people)
    found = compare_on_people(knowledge, people, alone.held_out)
    beside_target = await distilled(context, knowledge, people, alone)
    beside_head = _beside_head(knowledge, beside_target)
    others = np.setdiff1d(np.arange(len(beside_target.ids)), beside_target.human)
    texts = context.view.get([beside_target.ids[row] for row in others])
    gold = context.answers.places([text.gold for text in texts])
    said = np.stack([knowledge.reliability.calibrated[text.id] for text in texts])
    own = alone.predict_proba(Inputs(texts=[text.text for text in texts]))
    on_others = [said, own, beside_target.targets[others]]
    return [
        context.task.name,
        str(len(people.ids)),
        str(len(others)),
        *[f"{(part.argmax(axis=1) == gold).mean():.3f}" for part in on_others],
        right(alone),
        right(fitted(beside_head)),
        right(fitted(beside_target)),
        "" if found is None else f"{found.alone:.3f}, {found.together:.3f}",
    ]


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
