"""Keys of a task file that name something registered, with or without parameters.

A name is checked with its parameters when the file is read; nothing is made, and no registry is
asked for a key that is not there.
"""

from __future__ import annotations

from collections.abc import Callable
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


def _annotators() -> Registry[Any]:
    from querist.agents.annotator.port import ANNOTATORS

    return ANNOTATORS


def _generators() -> Registry[Any]:
    from querist.agents.generator.port import GENERATORS

    return GENERATORS


def _embedders() -> Registry[Any]:
    from querist.tools.embedding.embedders import EMBEDDERS

    return EMBEDDERS


def _signals() -> Registry[Any]:
    from querist.tools.opinions.signals import SIGNALS

    return SIGNALS


def _stopping_rules() -> Registry[Any]:
    from querist.tools.opinions.stopping import STOPPING_RULES

    return STOPPING_RULES


def _trainers() -> Registry[Any]:
    from querist.tools.training.port import TRAINERS

    return TRAINERS


def open_registries() -> None:
    """Import all that the keys may name, before somebody waits for a configuration to be read."""
    for registry in (
        *(_annotators, _generators, _embedders),
        *(_signals, _stopping_rules, _trainers),
    ):
        registry().entries()


def _named_in(registry: Callable[[], Registry[Any]]) -> BeforeValidator:
    return BeforeValidator(lambda value: _validated(value, registry()))


def _trainer(value: object) -> object:
    if value in ("auto", "prompt"):
        return value
    try:
        return _validated(value, _trainers())
    except ValueError as error:
        words = f"{error} Or auto, which chooses, or prompt, the language model's own."
        raise ValueError(words) from None


# A strategy's name is looked up when a run is made: `auto` and mixtures are no entries, and the
# registry of strategies takes a second to import.
StrategyText = Annotated[str, BeforeValidator(_as_call)]
"""A strategy, mixture or pipeline as text, or a table of a name and parameters."""
AnnotatorName = Annotated[str, _named_in(_annotators)]
"""A way to label with a language model that is registered."""
GeneratorName = Annotated[str, _named_in(_generators)]
"""A way to write new examples that is registered."""
EmbedderName = Annotated[str, _named_in(_embedders)]
"""An embedder that is registered."""
SignalName = Annotated[str, _named_in(_signals)]
"""A verification signal that is registered."""
StoppingRuleName = Annotated[str, _named_in(_stopping_rules)]
"""A stopping rule that is registered."""
TrainerName = Annotated[str, BeforeValidator(_trainer)]
"""A trainer that is registered."""
