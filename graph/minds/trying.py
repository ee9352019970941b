"""What minds try: a way of asking on what people labelled, training with and without texts."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal

import numpy as np

from querist.agents.annotator.port import ANNOTATORS, Chunk
from querist.agents.annotator.prompt import Prompt
from querist.agents.annotator.tools import Trial
from querist.agents.deliberation.allowance import Account
from querist.agents.deliberation.brief import usd
from querist.agents.deliberation.toolbox import CannotTellError
from querist.agents.generator.tools import ClassRecord, OnTrial
from querist.agents.models.metered import MeteredModel
from querist.graph.lessons.recalling import guidelines_of, taught_texts
from querist.graph.round.evidence import counts_of_labels
from querist.graph.round.knowledge import Knowledge
from querist.graph.round.model_files import current_model
from querist.graph.round.prompts import (
    bank_of,
    bias,
    labelling_model,
    labelling_models,
    shared_demonstrations,
    with_nearest,
)
from querist.graph.workplace.context import Context
from querist.memory.answers import name_of
from querist.memory.records import Annotation, ExampleId
from querist.tools.training.proxy import cross_fit

_MOST_MISTAKES = 8
_FEWEST = 8
"""Labels of people that are too few to hold any out."""


class PromptDesk:
    """The annotator's: it spends on the annotator's model, within the deliberation's allowance."""

    def __init__(self, context: Context, account: Account, *, number: int) -> None:
        """In round `number`."""
        self._context = context
        self._account = account
        self._number = number

    async def attempt(
        self, *, shared: int, nearest: int, votes: int, calibrate: bool, count: int, model: str = ""
    ) -> Trial:
        """Ask about texts that people labelled and that are not shown; nothing of it is kept."""
        context, number = self._context, self._number
        bank = bank_of(context)
        demonstrations = (*context.given, *shared_demonstrations(context, bank, count=shared))
        guidelines = guidelines_of(context)
        prompt = Prompt(context.task, demonstrations, nearest=nearest, guidelines=guidelines)
        shown = {demonstration.example.id for demonstration in demonstrations}
        shown |= taught_texts(context)
        known = [label.example for label in bank if label.example not in shown][-count:]
        if not known:
            raise CannotTellError(
                f"All {len(bank)} labelled examples would be shown, so none is left to ask about. "
                "Ask again with a smaller shared."
            )
        items = tuple(with_nearest(context, context.view.get(known), prompt))
        asked = self._model(model)
        requests = [prompt.request(item.example, nearest=item.nearest) for item in items]
        ceiling = sum((asked.ceiling(request) for request in requests), Decimal(0)) * votes
        if ceiling > self._account.usd_left:
            raise CannotTellError(
                f"That may cost {usd(ceiling)}, and {usd(self._account.usd_left)} are left of your "
                "allowance. Ask again with a smaller count, fewer votes or less shared."
            )
        before = context.ledger.balance().settled
        prior = await bias(context, prompt, model=asked) if calibrate else None
        method = ANNOTATORS.read(context.config.annotator.method)
        chunk = Chunk(items, prompt, votes=votes, number=number, prior=prior)
        annotated = await method.annotate(chunk, model=asked)
        cost = context.ledger.balance().settled - before
        self._account.charge(cost)
        said = {annotation.example: annotation for annotation in annotated.annotations}
        return self._compared(said, known, cost)

    def _model(self, name: str) -> MeteredModel:
        known = labelling_models(self._context)
        if name and name not in known:
            raise CannotTellError(
                f"No model {name[:60]!r} may be chosen. Ask again with one of {', '.join(known)}."
            )
        return labelling_model(self._context, name, number=self._number)

    def mistakes(self) -> Trial:
        """Compare what the model said so far with what people said."""
        known = [label.example for label in bank_of(self._context)]
        annotations = self._context.labelling.annotations(known)
        said = {told.example: told for told in annotations if told.who.startswith("llm:")}
        return self._compared(said, list(said), Decimal(0))

    def _compared(
        self, said: dict[ExampleId, Annotation], known: list[ExampleId], cost: Decimal
    ) -> Trial:
        truth = {label.example: name_of(label.answer) for label in bank_of(self._context)}
        pairs = Counter(
            (truth[example], name_of(answer))
            for example in known
            if example in said and (answer := said[example].answer) is not None
        )
        wrong = [(was, is_said, n) for (was, is_said), n in pairs.most_common() if was != is_said]
        right = sum(n for (was, is_said), n in pairs.items() if was == is_said)
        unread = len(known) - sum(pairs.values())
        return Trial(right, len(known), unread, cost, tuple(wrong[:_MOST_MISTAKES]))


class WritingDesk:
    """The generator's."""

    def __init__(self, context: Context) -> None:
        """Read what was labelled and written."""
        self._context = context

    def classes(self) -> list[ClassRecord]:
        """Measure each class on what people labelled, by models that did not see it."""
        context = self._context
        names, counts = context.answers.names, counts_of_labels(context)
        people = Knowledge(context, model=current_model(context.files)).people
        if len(people.ids) < _FEWEST:
            return []
        said = people.held_out(list(people.ids)).argmax(axis=1)
        truth = people.targets.argmax(axis=1)
        found = []
        for place, name in enumerate(names):
            own = said[truth == place]
            wrong = Counter(names[other] for other in own if other != place)
            taken = wrong.most_common(1)
            found.append(
                ClassRecord(
                    name,
                    labels=counts.get(name, 0),
                    right=int((own == place).sum()),
                    total=len(own),
                    mostly_taken_for=taken[0][0] if taken else "",
                )
            )
        return found

    def on_trial(self) -> OnTrial:
        """Train on people's labels with and without the texts written so far, held out on them."""
        knowledge = Knowledge(self._context, model=current_model(self._context.files))
        rows = knowledge.training_set
        own = np.array([name.startswith("gen-") for name in rows.ids], dtype=bool)
        judged = np.array([row for row in rows.human if not own[row]], dtype=np.intp)
        if not own.any() or len(judged) < _FEWEST:
            return OnTrial(0, 0.0, 0.0, len(judged))
        truth = rows.targets[judged].argmax(axis=1)
        # Machines' labels were worked out from all of people's, so they know what is held out.
        people = np.zeros(len(rows.ids))
        people[judged] = 1.0
        shares = []
        for weights in (np.where(own, rows.weights, people), people):
            said = cross_fit(rows.inputs, rows.targets, weights=weights, score_rows=judged)
            shares.append(float((said.argmax(axis=1) == truth).mean()))
        return OnTrial(int(own.sum()), shares[0], shares[1], len(judged))
