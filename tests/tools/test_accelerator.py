"""Rows on a device: the same picks as without one. Torch's processor stands in for a GPU here."""

import numpy as np
import pytest
import torch

from querist.memory.errors import InvalidInput
from querist.tools.compute import accelerator
from querist.tools.compute.accelerator import Resident, place, products
from querist.tools.engines.clustering import k_means
from querist.tools.engines.diversity import draw_far, k_center, k_means_pp
from querist.tools.engines.geometry import Euclidean, OuterProducts
from querist.tools.engines.neighbours import nearest_neighbours
from querist.tools.engines.optimal_design import d_optimal, prior_covariance


@pytest.fixture
def device(monkeypatch):
    """Let everything be worth carrying to a device."""
    monkeypatch.setattr(accelerator, "WORTH_CARRYING", 1)
    monkeypatch.setattr(accelerator, "chosen_device", lambda: torch.device("cpu"))


@pytest.fixture(autouse=True)
def _forget():
    accelerator.chosen_device.cache_clear()
    yield
    accelerator.chosen_device.cache_clear()


def rng(seed=0):
    return np.random.default_rng(seed)


ROWS = rng(1).normal(size=(9000, 24)).astype(np.float32)
ERRORS = rng(2).normal(size=(9000, 3)).astype(np.float32)


def with_and_without(monkeypatch, compute):
    without = compute()
    monkeypatch.setattr(accelerator, "WORTH_CARRYING", 1)
    monkeypatch.setattr(accelerator, "chosen_device", lambda: torch.device("cpu"))
    assert isinstance(place(ROWS), Resident)
    return without, compute()


@pytest.mark.parametrize(
    "pick",
    [
        lambda: k_center(ROWS, labelled=ROWS[:5], count=40, rng=rng()),
        lambda: k_means_pp(ROWS, labelled=ROWS[:5], count=40, rng=rng()),
        lambda: draw_far(OuterProducts.of(ERRORS, ROWS), count=40, rng=rng()),
        lambda: k_means(ROWS, 12, rng=rng()).labels,
        lambda: nearest_neighbours(ROWS[:800], 5)[0],
        lambda: nearest_neighbours(ROWS[:50], 5, among=ROWS)[0],
        lambda: d_optimal(ROWS, prior_covariance(ROWS[:9], width=24), count=40),
    ],
    ids=["k_center", "k_means_pp", "badge", "k_means", "graph", "among", "d_optimal"],
)
def test_a_device_picks_as_the_processor_does(monkeypatch, pick):
    without, beside = with_and_without(monkeypatch, pick)
    assert len(without) > 5
    np.testing.assert_array_equal(without, beside)


@pytest.mark.parametrize("offset", [0, 100])
def test_a_device_tells_close_rows_apart(monkeypatch, offset):
    groups = np.repeat(rng(3).normal(size=(30, 24)) * 20, 300, axis=0)
    rows = (groups + ROWS / 10 + offset).astype(np.float32)
    errors = np.repeat(ERRORS[:30], 300, axis=0)

    def measure():
        some = Euclidean.of(rows)
        gradients = OuterProducts.of(errors, rows)
        return np.stack(
            [space.gaps(space.take(np.arange(0, 9000, 400))) for space in (some, gradients)]
        )

    without, beside = with_and_without(monkeypatch, measure)
    np.testing.assert_allclose(without, beside, rtol=1e-4)


@pytest.mark.usefixtures("device")
def test_rows_on_a_device_are_taken_and_multiplied_there():
    there = place(ROWS)
    picked = np.array([5, 3, 8999])
    assert len(there[picked]) == 3
    assert len(there[10:20]) == 10
    expected = ROWS[picked] @ ROWS[10:20].T
    for mine, others in [(picked, slice(10, 20))]:
        np.testing.assert_allclose(products(there[mine], there[others]), expected, atol=1e-5)
        np.testing.assert_allclose(products(there[mine], ROWS[others]), expected, atol=1e-5)
        np.testing.assert_allclose(products(ROWS[mine], there[others]), expected, atol=1e-5)


@pytest.mark.usefixtures("device")
def test_a_mapped_file_can_be_carried(tmp_path):
    np.save(tmp_path / "rows.npy", ROWS)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    np.testing.assert_array_equal(place(mapped).tensor.numpy(), ROWS)


def test_small_rows_and_doubles_stay(monkeypatch):
    monkeypatch.setattr(accelerator, "chosen_device", lambda: torch.device("cpu"))
    assert place(ROWS) is ROWS
    monkeypatch.setattr(accelerator, "WORTH_CARRYING", 1)
    doubles = ROWS.astype(np.float64)
    assert place(doubles) is doubles


@pytest.mark.usefixtures("device")
def test_rows_that_do_not_fit_stay(monkeypatch):
    monkeypatch.setattr(accelerator, "_free_bytes", lambda _: ROWS.nbytes)
    assert place(ROWS) is ROWS


def test_the_environment_names_the_device(monkeypatch):
    monkeypatch.setenv("QUERIST_DEVICE", "cpu")
    assert accelerator.chosen_device() is None


@pytest.mark.parametrize("name", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_an_error_with_a_remedy(monkeypatch, name):
    monkeypatch.setenv("QUERIST_DEVICE", name)
    with pytest.raises(InvalidInput, match=f"QUERIST_DEVICE={name} .* set it to cpu"):
        accelerator.chosen_device()
