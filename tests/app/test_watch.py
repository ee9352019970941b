"""`querist watch`: a run that another process drives, on a screen and in a pipe."""

import io
import re
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal

import pytest
from rich.console import Console
from tests_web_support import config_of, question

from querist.app.terminal.place import Place
from querist.app.views.dashboard import draw, take_snapshot, watch_run
from querist.memory.answers import Choice
from querist.memory.asking.inbox import Inbox
from querist.memory.errors import InvalidInput
from querist.memory.events import Annotated, Finished, Notice, Planned, RoundDone
from querist.memory.records import CallKey, Decision, ExampleId, Label, Round, RunId
from querist.memory.run.journal import Journal
from querist.memory.run.labelling import Labelling
from querist.memory.run.ledger import Bill, Ledger, Request
from querist.memory.run.runs import Runs
from querist.memory.store import open_store


@pytest.fixture
def place(tmp_path):
    return Place(tmp_path / "work")


class Driver:
    """Drives a run by hand, as another process would."""

    def __init__(self, store, name="run-1"):
        config = config_of()
        self.runs, self.store = Runs(store), store
        self.runs.create(
            RunId(name), task=config.as_task(), dataset="d", cap=Decimal(4),
            config=config.model_dump(mode="json"),
        )  # fmt: skip
        self.lease = self.runs.take(RunId(name))
        self.runs.set_status(self.lease, "running")
        self.journal = Journal(store, name, lease=self.lease)
        self.run = name

    def end(self, status="finished", reason="The curve has levelled off."):
        self.runs.set_status(self.lease, status, reason)
        self.runs.give_up(self.lease)


def planned(**values):
    usual = {"round": 2, "rounds": 5, "cap": Decimal(4), "action": "select", "batch": 10,
             "questions": 2, "reason": "quality still grows"}  # fmt: skip
    return Planned(**{**usual, **values})


def done(number):
    return RoundDone(round=number, labelled=20, people=5, usd=Decimal("0.5"), metric=0.8,
                     measured_on="the sample", test=None)  # fmt: skip


def fill(driver):
    """Two rounds, labels, money, a question, decisions."""
    store, lease = driver.store, driver.lease
    ledger = Ledger(store, driver.run, lease=lease)
    for number, usd in enumerate(("0.5", "0.7")):
        [hold] = ledger.reserve([Request(CallKey(f"c{number}"), Decimal(1), "annotator")])
        ledger.settle([Bill(hold, Decimal(usd))])
        driver.journal.round_done(
            Round(number, 10 * (number + 1), 5, Decimal(usd), 0.6 + 0.2 * number, 0.5, 0.9,
                  {"n": 40, "measured_on": "the sample"})
        )  # fmt: skip
    labels = [
        Label(ExampleId(f"e{n}"), Choice("bug" if n % 3 else "praise"),
              "human" if n < 3 else "llm", "ann", 1.0, 0.9, 1)
        for n in range(9)
    ]  # fmt: skip
    Labelling(store, driver.run, lease=lease).relabel(labels)
    Inbox(store, driver.run).ask([question(1)])
    made = Decision(agent="budget_controller", round=1, mind="rules", evidence={}, action={},
                    reason="an old reason")  # fmt: skip
    driver.journal.decided(made)
    driver.journal.decided(replace(made, round=2, turn=2, reason="quality [bold]grows\x1b[31m"))
    driver.journal.decided(replace(made, agent="selector", round=2, turn=2, reason="doubt"))
    driver.journal.event(planned())


def shown(snapshot, lines=(), width=100):
    console = Console(file=io.StringIO(), width=width, color_system=None, force_terminal=True,
                      highlight=False, legacy_windows=False)  # fmt: skip
    console.print(draw(snapshot, lines))
    return console.file.getvalue()


def test_one_screen_has_all_that_is_to_be_known(place):
    with place.open(must_exist=False) as store:
        driver = Driver(store)
        fill(driver)
        screen = shown(take_snapshot(store, "run-1"), ["round 1 done"])
    assert "run-1, task: running" in screen
    assert "Round 2: the selector chooses texts" in screen
    assert "1.20 USD of 4.00 USD, about" in screen
    assert re.search(r"rounds +━+╸ +2 of 10", screen)
    assert "▁█  Quality 80.0 % [50.0 %, 90.0 %]" in screen
    assert "9 labels: the language model 6, people 3" in screen
    assert re.search(r"bug +█{24} 6", screen)
    assert re.search(r"praise +█{12} +3", screen)
    assert "questions: 1 open" in screen
    assert "an old reason" not in screen
    assert "quality [bold]grows[31m" in screen  # shown as it is, and obeyed by nobody
    assert "\x1b" not in screen
    assert "round 1 done" in screen
    assert max(map(len, screen.splitlines())) <= 100


@pytest.mark.parametrize("width", [30, 60, 200])
def test_it_fits_any_width(place, width):
    with place.open(must_exist=False) as store:
        driver = Driver(store)
        assert "The run is starting" in re.sub(
            r"[\s│]+", " ", shown(take_snapshot(store, "run-1"), width=width)
        )
        fill(driver)
        screen = shown(take_snapshot(store, "run-1"), ["a" * 300], width=width)
    assert max(map(len, screen.splitlines())) <= width


def test_a_pipe_gets_lines_until_the_run_ends(place, capsys):
    with place.open(must_exist=False) as store:
        driver = Driver(store)
        fill(driver)
        steps = iter(
            [
                lambda: driver.journal.event(Notice(text="something new")),
                lambda: None,
                lambda: driver.journal.event(
                    Annotated(round=2, done=5, total=10, usd=Decimal("1.3"))
                ),
                lambda: (
                    driver.journal.event(Finished(stop="plateau", reason="levelled off")),
                    driver.journal.event(Notice(text="the last word")),
                    driver.end(),
                ),
            ]
        )
        watch_run(place, "run", pause=lambda _: next(steps)())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Round 2: the selector chooses texts")
    assert lines[1] == "Round 2: select. quality still grows"
    assert lines[2:4] == ["  note: something new", "  note: the last word"]
    assert lines[-1] == "Finished. The curve has levelled off."
    assert len(lines) == 5


def test_one_that_has_ended_is_told_and_how_it_goes_on(place, capsys):
    with place.open(must_exist=False) as store:
        Driver(store).end("paused", "Somebody asked.")
    watch_run(place, None)
    out = capsys.readouterr().out
    assert "Paused. Somebody asked." in out
    assert f"querist resume run-1 --workspace {place.workspace}" in out


def test_one_that_is_finished_ends_though_its_driver_has_more_to_do(place, capsys):
    with place.open(must_exist=False) as store:
        driver = Driver(store)
        driver.runs.set_status(driver.lease, "finished", "All rounds are done.")
        watch_run(place, None)
    assert capsys.readouterr().out == "Finished. All rounds are done.\n"


def test_ctrl_c_leaves_the_run_alone(place, capsys):
    def interrupt(_):
        raise KeyboardInterrupt

    with place.open(must_exist=False) as store:
        driver = Driver(store)
        watch_run(place, None, pause=interrupt)
        assert driver.runs.is_driven(driver.runs.get("run-1"))
    assert "run-1 goes on without you." in capsys.readouterr().out


def test_a_dead_driver_ends_the_watching(place, capsys):
    with place.open(must_exist=False) as store:
        driver = Driver(store)
        driver.runs.give_up(driver.lease)
    watch_run(place, None)
    assert "Interrupted." in capsys.readouterr().out


def test_the_command_follows_a_run_of_another_process(place):
    command = [sys.executable, "-m", "querist.app.terminal.cli", "watch", "run-1"]
    with place.open(must_exist=False) as store:
        driver = Driver(store)
        with subprocess.Popen(
            [*command, "--workspace", str(place.workspace)], stdout=subprocess.PIPE, text=True
        ) as watching:
            try:
                assert watching.stdout.readline() == "The run is starting.\n"
                driver.journal.event(planned(round=1))
                said = watching.stdout.readline()
                assert said == "Round 1: select. quality still grows\n"
                driver.journal.event(done(1))
                assert watching.stdout.readline().startswith("Round 1 done: quality 80.0 %")
                driver.end()
                assert watching.stdout.read() == "Finished. The curve has levelled off.\n"
                assert watching.wait(30) == 0
            finally:
                watching.kill()


def test_what_is_no_run_of_the_loop_is_refused(place):
    with open_store(place.workspace):
        pass
    with pytest.raises(InvalidInput, match="no run here yet"):
        watch_run(place, None)
