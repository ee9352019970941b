"""The section of a job file that says what is written after."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from querist.agents.selector.creating import MOST_SHOWN
from querist.graph.sections import Section


class SeedsSection(Section):
    """What is written after."""

    file: str | None = None
    """Rows, in any format of a pool."""
    text: str | list[str] | None = None
    label: str | None = None
    """The column of their labels."""
    run: str | None = None
    """A run of the loop: what people labelled in it, instead of a file."""
    weak: int = Field(default=0, ge=0, le=1_000)
    """Rows are for as many of the run's weakest classes, unless `shares` says otherwise."""
    confusions: bool = False
    """A class is contrasted with what the run's model mostly takes it for."""
    confused: dict[str, str] = Field(default_factory=dict)
    """The same, by hand: a class, and the one that it is contrasted with."""
    passages: str | None = None
    """A text file that is cut into passages."""
    characters: int = Field(default=800, ge=100, le=20_000)
    """Of a passage."""
    show: Literal["random", "diverse", "hard"] = "random"
    """How the seeds that a call is shown are drawn."""
    shown: int = Field(default=4, ge=1, le=MOST_SHOWN)
    """How many of them a call is shown."""

    @property
    def source(self) -> str | None:
        """The file or run that the rows are from."""
        return self.file or self.run

    @property
    def has_rows(self) -> bool:
        """Whether there are rows to show."""
        return self.source is not None

    @property
    def has_labels(self) -> bool:
        """Whether they have labels."""
        return self.label is not None or self.run is not None

    @model_validator(mode="after")
    def _is_of_one_place(self) -> SeedsSection:
        if self.file is not None and self.run is not None:
            raise ValueError("seeds are of a file or of a run: name one of seeds.file, seeds.run")
        if self.run is None and (self.weak or self.confusions):
            raise ValueError("seeds.weak and seeds.confusions are about a run: name it, seeds.run")
        return self
