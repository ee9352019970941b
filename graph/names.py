"""Keys of a task file that name something registered, with or without parameters.

A name is checked with its parameters when the file is read; nothing is made, and no registry is
asked for a key that is not there.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

from pydantic import BeforeValidator

from querist.memory.errors import InvalidInput
from querist.tools.calls import Scalar, write_call
from querist.tools.registry import Registry


def _as_call(value: object) -> object:
    """Write a table of a name and its parameters as one text."""
    if not isinstance(value, dict):
        return value
    values = dict(value)
    name = values.pop("name", None)
    if not isinstance(name, str) or not all(isinstance(value, Scalar) for value in values.values()):
        raise ValueError(
            'name it in the table, with its parameters beside it: name = "contrastive", '
            "neighbours = 5"
        )
    return write_call(name, values)


def _validated(value: object, registry: Registry[Any]) -> object:
    """Refuse what is not registered, or has other parameters."""
    call = _as_call(value)
    if isinstance(call, str):
        try:
            registry.check(call)
        except InvalidInput as error:
            raise ValueError(str(error)) from None
    return call


def _annotator(value: object) -> object:
    from querist.agents.annotator.port import ANNOTATORS

    return _validated(value, ANNOTATORS)


def _generator(value: object) -> object:
    from querist.agents.generator.port import GENERATORS

    return _validated(value, GENERATORS)


def _embedder(value: object) -> object:
    from querist.tools.embedding.embedders import EMBEDDERS

    return _validated(value, EMBEDDERS)


def _signal(value: object) -> object:
    from querist.tools.opinions.signals import SIGNALS

    return _validated(value, SIGNALS)


def _stopping_rule(value: object) -> object:
    from querist.tools.opinions.stopping import STOPPING_RULES

    return _validated(value, STOPPING_RULES)


def _trainer(value: object) -> object:
    from querist.tools.training.port import TRAINERS

    if value in ("auto", "prompt"):
        return value
    try:
        return _validated(value, TRAINERS)
    except ValueError as error:
        words = f"{error} Or auto, which chooses, or prompt, the language model's own."
        raise ValueError(words) from None


def open_registries() -> None:
    """Import all that the keys may name, before somebody waits for a configuration to be read."""
    for look_up in (_annotator, _generator, _embedder, _signal, _stopping_rule, _trainer):
        with suppress(ValueError):
            look_up("nobody")


# A strategy's name is looked up when a run is made: `auto` and mixtures are no entries, and the
# registry of strategies takes a second to import.
StrategyText = Annotated[str, BeforeValidator(_as_call)]
"""A strategy, mixture or pipeline as text, or a table of a name and parameters."""
AnnotatorName = Annotated[str, BeforeValidator(_annotator)]
"""A way to label with a language model that is registered."""
GeneratorName = Annotated[str, BeforeValidator(_generator)]
"""A way to write new examples that is registered."""
EmbedderName = Annotated[str, BeforeValidator(_embedder)]
"""An embedder that is registered."""
SignalName = Annotated[str, BeforeValidator(_signal)]
"""A verification signal that is registered."""
StoppingRuleName = Annotated[str, BeforeValidator(_stopping_rule)]
"""A stopping rule that is registered."""
TrainerName = Annotated[str, BeforeValidator(_trainer)]
"""A trainer that is registered."""
