"""A gate by a model of our own: a linear head on embeddings, trained on the labelled seeds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from querist.memory.errors import InvalidInput
from querist.tools.gates.port import Candidate, Finding, Setting, gate
from querist.tools.registry import Share
from querist.tools.training.proxy import LinearHead, LinearModel

_LEAST = 4
"""Seeds of a class without which nothing can be said of it."""


@gate(
    "classifier",
    summary="A linear head on embeddings, trained on the seeds, gives the same label.",
    cost="an embedding a row",
    citation="Meng et al., SuperGen, 2022, with a classifier in place of the language model",
    explanation="Free, and of another kind than any writer. It knows only what the seeds show: "
    "rows that are new in an unusual way are those it rejects.",
)
class Classifier:
    """Predicts the label."""

    rank = 9

    def __init__(self, *, least: Share = 0.3) -> None:
        """`least` is the chance that the label must have; it must be the likeliest, too."""
        self._least = least
        self.remedy = f"lower classifier(least={least}), or give more labelled seeds"

    def check(self, candidates: Sequence[Candidate], setting: Setting, /) -> list[Finding]:
        """Predict, and compare."""
        if setting.embed is None:
            raise InvalidInput("The gate classifier needs an embedder.")
        names, model = self._trained(setting)
        if not candidates:
            return []
        chances = model.predict_proba(setting.embed([candidate.text for candidate in candidates]))
        findings = []
        for candidate, row in zip(candidates, chances, strict=True):
            guess = names[int(np.argmax(row))]
            chance = float(row[names.index(candidate.label)]) if candidate.label in names else 0.0
            passed = guess == candidate.label and chance >= self._least
            reason = "" if passed else f"reads like {guess} rather than {candidate.label}"
            if guess == candidate.label and not passed:
                reason = f"reads like {guess} with a chance of {chance:.2f} only"
            findings.append(Finding(passed=passed, reason=reason, score=chance))
        return findings

    def _trained(self, setting: Setting) -> tuple[list[str], LinearModel]:
        if "classifier" not in setting.memo:
            assert setting.embed is not None
            counts = Counter(label for _, label in setting.labelled)
            names = sorted(counts)
            # Of classes that no rows are wanted of, a few are better than none.
            thin = [name for name in setting.wanted or names if counts[name] < _LEAST]
            if thin or len(names) < 2:
                have = ", ".join(f"{counts[name]} of {name}" for name in thin)
                raise InvalidInput(
                    f"The gate classifier learns from labelled seeds, at least {_LEAST} of each "
                    f"class that rows are wanted of, and of two classes; there are "
                    f"{have or f'{len(names)} classes'}. Name more in seeds.file, give the class "
                    "no share in shares, or leave classifier out."
                )
            inputs = setting.embed([text for text, _ in setting.labelled])
            targets = np.zeros((len(inputs), len(names)), dtype=np.float32)
            targets[range(len(inputs)), [names.index(label) for _, label in setting.labelled]] = 1
            setting.memo["classifier"] = names, LinearHead().fit(inputs, targets)
        found: tuple[list[str], LinearModel] = setting.memo["classifier"]
        return found
