"""What a run says at its end and in its report can be understood without knowing the code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from querist.app.terminal.cli import app
from querist.app.views import charts
from querist.app.views.facts import facts, machine_weight
from querist.app.views.figures import Figure, Measured, share_right
from querist.app.views.predictions import Bin, Judged
from querist.app.views.report import write_report
from querist.app.views.report_data import OpenQuestion, ReportData, gather
from querist.evals.mock_manners import FILTERED
from querist.evals.mock_server import Behaviour, serving
from querist.graph.run import Run
from querist.memory.run.runs import Runs
from querist.memory.store import open_store

QUICK = ("data.embedder=hashing", "generator.enabled=false", "loop.plateau_window=9")
PEOPLE_ONLY = (*QUICK, "annotator.enabled=false")


def ask(*words: object, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], input=typed)


def done(*words: object, typed: str | None = None) -> str:
    result = ask(*words, typed=typed)
    assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
    return result.output


def set_options(*keys: str) -> list[str]:
    return [word for key in keys for word in ("--set", key)]


def write_films(path: Path, count: int, *, start: int = 0) -> Path:
    rows = [
        {
            "text": f"number {i}: {'a great film' if i % 2 else 'a dull film'}",
            "label": "good" if i % 2 else "bad",
        }
        for i in range(start, start + count)
    ]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return path


def page_of(work: Path) -> str:
    """The report's words without its markup."""
    text = next(work.glob("runs/*/report.html")).read_text()
    body = re.sub(r"<(style|svg).*?</\1>", " ", text, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", body).split())


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with simulated people and a test set of 40 texts."""
    folder = tmp_path_factory.mktemp("words")
    pool = write_films(folder / "pool.jsonl", 60)
    test = write_films(folder / "test.jsonl", 40, start=500)
    words = ("run", "--pool", pool, "--labels", "good,bad", "--gold", "label", "--test", test)
    words = (*words, "--people", "simulated", "--budget", "1.5", "-w", folder / "work")
    said = done(*words, *set_options(*PEOPLE_ONLY, "loop.rounds=2"))
    (folder / "work" / "said.txt").write_text(said)
    return folder / "work"


def served(url: str, pool: Path, work: Path, *keys: str) -> Sequence[object]:
    words = ("run", "--pool", pool, "--labels", "good,bad", "--model", "mock", "--base-url", url)
    words = (*words, "--price", "mock=1,2", "--budget", "1", "--people", "none", "-w", work)
    return (*words, *set_options(*QUICK, "loop.rounds=2", "loop.batch=10", *keys))


# ---------------------------------------------------------------- which figure to believe


def test_the_summary_says_what_both_figures_are_measured_on(films: Path) -> None:
    for said in ((films / "said.txt").read_text(), done("status", "-w", films, name_of(films))):
        assert re.search(
            r"^Quality   \S+ % \(90 % interval .*\) on the \d+ texts of the random first sample "
            r"that people labelled, each predicted by a model that did not learn",
            said,
            re.MULTILINE,
        )
        assert re.search(
            r"^Test      \S+ % \(90 % interval \S+ % to \S+ %\) on 40 labelled texts that neither "
            r"the agents nor the model saw$",
            said,
            re.MULTILINE,
        )
        assert re.search(r"^Believe   Test", said, re.MULTILINE)


def name_of(work: Path) -> str:
    return next(work.glob("runs/*")).name


def test_the_report_says_it_too(films: Path) -> None:
    page = page_of(films)
    assert "Which to believe: Test. Quality is for runs without a test set" in page
    assert "on 40 labelled texts that neither the agents nor the model saw" in page


def test_agreement_with_annotators_is_not_called_quality(tmp_path: Path) -> None:
    pool, work = write_films(tmp_path / "pool.jsonl", 40), tmp_path / "work"
    with serving(Behaviour(keywords={"great": "good", "dull": "bad"})) as server:
        said = done(*served(server.base_url, pool, work))
    assert re.search(r"^Agreement \S+ % .*not accuracy", said, re.MULTILINE)
    assert re.search(r"^Believe   Agreement, but not as accuracy", said, re.MULTILINE)
    assert re.search(r"^Round \d done: agreement ", said, re.MULTILINE)
    assert "Quality  " not in said
    page = page_of(work)
    assert "Agreement" in page
    assert not re.search(r"\bQuality\b", page)
    assert "% (agreement)\t" in done("status", "-w", work)


SAMPLE = "random sample labelled by people"


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        (Measured(None, "", None), "^$"),
        (Measured(None, "nothing yet", share_right(0.9, 100)), "^Test. It is the only figure"),
        (Measured(Figure(0.5, 0.3, 0.6, 20), SAMPLE, share_right(0.9, 200)), "both intervals"),
        (Measured(Figure(0.8, 0.6, 0.9, 20), SAMPLE, share_right(0.9, 200)), r"same labels\).$"),
        (Measured(Figure(0.8, 0.6, 0.9, 20), SAMPLE, share_right(1.0, 5)), "5 texts are few"),
        (Measured(Figure(0.8, 0.6, 0.9, 20), SAMPLE, None), "^Quality within .*no test set"),
        (Measured(Figure(0.8, 0.6, 0.9, 20), "validation set", None), "^Quality; .*validation"),
        (Measured(Figure(0.1, 0.0, 0.2, 20), "agreement", share_right(0.9, 99)), "^Test. Agreem"),
        # as runs of earlier versions noted it
        (
            Measured(Figure(0.9, 0.8, 1.0, 20), f"{SAMPLE}, cross-fitted", None),
            "^Quality within its interval",
        ),
    ],
)
def test_one_line_says_which_figure_to_believe(measured: Measured, words: str) -> None:
    assert re.search(words, measured.verdict)
    assert "\n" not in measured.verdict
    assert "cross-fit" not in measured.verdict + measured.own_words


def test_agreement_is_never_compared_with_accuracy() -> None:
    far = Measured(Figure(0.1, 0.0, 0.2, 20), "agreement with", share_right(0.9, 200))
    assert "intervals" not in far.verdict


# ---------------------------------------------------------------- jargon

JARGON = (
    "cross-fit", "p_correct", "p(correct)", "calibration error", "ECE", "log-prob", "logprob",
    "trust in", "_usd", "demonstration", "fencing", "reannotat", "Decimal(", "is_seed",
)  # fmt: skip


@pytest.mark.parametrize("word", JARGON)
def test_no_word_of_the_trade_is_on_a_screen_or_in_the_report(films: Path, word: str) -> None:
    page = page_of(films).split("How to reproduce")[0]  # keys of the task file are what they are
    screens = [(films / "said.txt").read_text(), done("status", name_of(films), "-w", films)]
    for shown in (page, *screens):
        assert word.lower() not in shown.lower()


def test_weights_are_shares_and_switches_are_words() -> None:
    shown = dict(facts({"weights": [1.29, 0.15, 0.37], "is_seed": True, "reason": "said above"}))
    assert shown == {
        "whose opinion counts how much": (
            "the annotator 71%, labelled neighbours 8%, the trained model 20%"
        ),
        "this is the random first sample": "yes",
    }


@pytest.mark.parametrize(
    ("trust", "words"),
    [(None, "-"), (0.0, "not at all"), (0.3, "30% of a person's"), (1.0, "like a person's"),
     (3.0, "3 times a person's")],
)  # fmt: skip
def test_trust_is_said_in_words(trust: float | None, words: str) -> None:
    assert machine_weight(trust) == words


def test_long_values_of_decisions_are_cut() -> None:
    ((_, value),) = facts({"labels": {f"class {i}": i for i in range(151)}})
    assert value.endswith("and 136 more")


# ---------------------------------------------------------------- many classes


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with 151 classes."""
    folder = tmp_path_factory.mktemp("many")
    rows = [{"text": f"word{i % 151} number {i}", "label": f"class {i % 151}"} for i in range(604)]
    pool, task = folder / "pool.jsonl", folder / "task.toml"
    pool.write_text("\n".join(map(json.dumps, rows)))
    names = json.dumps([f"class {i}" for i in range(151)])
    task.write_text(
        f'[task]\nname = "many"\nlabels = {names}\n[data]\npool = "{pool}"\ngold = "label"\n'
        '[budget]\nusd = 10\n[people]\nkind = "simulated"\nerror_rate = 0.2\n'
    )
    said = done("run", task, *set_options(*PEOPLE_ONLY, "loop.rounds=2"), "-w", folder / "work")
    (folder / "work" / "said.txt").write_text(said)
    return folder / "work"


def opened(work: Path) -> Iterator[ReportData]:
    store = open_store(work)
    yield gather(Run.open(store))
    store.close()


def test_a_report_of_151_classes_folds_all_but_the_first(many: Path) -> None:
    text = next(many.glob("runs/*/report.html")).read_text()
    assert "<summary>136 more classes</summary>" in text
    assert text.count("<rect") <= 40, "a chart has room for a few classes only"
    totals = re.findall(r'<td class="num">(\d+)</td></tr>', text.split("Class balance")[1])
    first = [int(total) for total in totals[:15]]
    assert first == sorted(first, reverse=True)


def test_lists_of_151_classes_are_cut_on_the_screen(many: Path) -> None:
    said = (many / "said.txt").read_text()
    assert re.search(r"^Missing   no example was labelled .* or \d+ more: ", said, re.MULTILINE)
    for shown in (said, done("status", name_of(many), "-w", many)):
        assert max(map(len, shown.splitlines())) < 600


def test_a_large_report_stays_small(many: Path, tmp_path: Path) -> None:
    (data,) = opened(many)
    names = [row.name for row in data.classes]
    counts = [5_000 // 151 + (i < 5_000 % 151) for i in range(151)]
    classes = [
        replace(row, by_source={"human": count // 2, "llm": count - count // 2})
        for row, count in zip(data.classes, counts, strict=True)
    ]
    matrix = [[(i * j) % 5 for i in range(151)] for j in range(151)]
    judged = Judged("the trained model", "the test set", names, matrix, [Bin(0, 1, 9, 0.5, 0.5)])
    large = replace(
        data,
        classes=classes,
        judged=judged,
        decisions=[*data.decisions] * (1_000 // len(data.decisions)),
        rounds=[*data.rounds] * (250 // len(data.rounds)),
        questions=[OpenQuestion("a long text " * 1_000, "doubtful", 0.5)] * 200,
    )
    path = write_report(large, tmp_path / "report.html")
    text = path.read_text()
    assert path.stat().st_size < 1_200_000  # of which a thousand decisions take most
    assert 'class="confusion"' not in text
    assert "<summary>185 more pairs</summary>" in text


def test_a_source_has_the_same_colour_in_every_chart() -> None:
    alone = charts.bars([charts.Bar("a", {"llm": 2.0})], title="t")
    both = charts.bars([charts.Bar("a", {"llm": 2.0, "human": 1.0})], title="t")
    other = charts.bars([charts.Bar("b", {"compute": 1.0, "llm": 1.0})], title="t")
    dots = charts.reliability([(0.5, 0.5, 3)], title="t", source="llm")
    assert all(f'class="s{charts.colour("llm")}"' in dot for dot in (alone, both, other, dots))
    assert len({charts.colour(source) for source in ("human", "llm", "generated", "model")}) == 4
    assert both.index("human") < both.index("llm"), "the order is constant, too"


# ---------------------------------------------------------------- what a run waits for


@pytest.fixture
def waiting(tmp_path: Path) -> Path:
    """A workspace whose run waits for people; what it said is beside it."""
    pool, work = write_films(tmp_path / "pool.jsonl", 40), tmp_path / "work"
    words = ("run", "--pool", pool, "--labels", "good,bad", "--budget", "0.60", "-w", work)
    said = done(*words, *set_options(*PEOPLE_ONLY, "loop.rounds=2", "people.patience.share=1"))
    (work / "said.txt").write_text(said)
    return work


def test_a_waiting_run_says_what_it_waits_for_and_what_to_type(waiting: Path) -> None:
    run = name_of(waiting)
    for said in ((waiting / "said.txt").read_text(), done("status", run, "-w", waiting)):
        assert re.search(r"^Waiting   0 of \d+ questions are answered", said, re.MULTILINE)
        assert f"Next      querist inbox {run} --workspace" in said
        assert f"querist proceed {run}" in said
    assert "querist proceed" in page_of(waiting)


def test_answered_questions_are_not_said_to_be_open(waiting: Path) -> None:
    run = name_of(waiting)
    done("inbox", "-w", waiting, typed="1" * 3 + "q")
    done("report", run, "-w", waiting)
    for said in (done("status", run, "-w", waiting), page_of(waiting)):
        assert "3 of " in said
        assert "0 of 4 questions" not in said
    done("inbox", "-w", waiting, typed="12" * 30)
    done("report", run, "-w", waiting)
    for said in (done("status", run, "-w", waiting), page_of(waiting)):
        assert "No answer is waited for any more" in said
        assert not re.search(r"questions are answered|still open|more are waited for", said)


def test_a_finished_run_names_no_open_questions_of_earlier(waiting: Path) -> None:
    for _ in range(6):
        done("inbox", "-w", waiting, typed="12" * 30)
        said = done("resume", "-w", waiting)
        if "Finished" in said:
            break
    run = name_of(waiting)
    for shown in (said, done("status", run, "-w", waiting), page_of(waiting)):
        assert not re.search(r"\d+ questions? (to people )?(are |is )?(still )?open", shown)
        assert "more are waited for" not in shown


def test_counts_that_earlier_versions_noted_are_left_out(waiting: Path) -> None:
    store = open_store(waiting)
    runs = Runs(store)
    lease = runs.take(runs.get().id)
    runs.set_status(lease, "finished", "All done. 20 questions to people are still open.")
    runs.give_up(lease)
    store.close()
    said = done("status", name_of(waiting), "-w", waiting)
    assert "All done." in said
    assert "20 questions" not in said


# ---------------------------------------------------------------- lists and money in messages


def test_messages_of_a_wrong_configuration_are_short_and_show_plain_money(tmp_path: Path) -> None:
    pool = write_films(tmp_path / "pool.jsonl", 40)
    names = [f"class {i}" for i in range(151)]
    words = ("quote", "--pool", pool, "--labels", ",".join(names))
    for budget in (
        "0",
        "0.00",
        "-1",
        "nan",
        "inf",
        "0E+3",
        "1e9999999",
        "1e12",
        "a lot",
        "",
        "1,50",
        " ",
    ):
        result = ask(*words, f"--budget={budget}")
        assert result.exit_code == 2, budget
        assert "Decimal" not in result.stderr
        assert max(map(len, result.stderr.splitlines())) < 400
    for key in (
        "budget.human_label_usd=-1",
        "budget.usd=0",
        "budget.human_label_usd=nan",
        "budget.human_label_usd=1e99999",
    ):
        result = ask(*words, "--set", key)
        assert result.exit_code == 2, key
        assert "Decimal" not in result.stderr


def test_names_given_twice_are_cut(tmp_path: Path) -> None:
    pool = write_films(tmp_path / "pool.jsonl", 40)
    names = ",".join(f"class {i}" for i in range(79))
    result = ask("quote", "--pool", pool, "--labels", f"{names},{names}", "--budget", "1")
    assert result.exit_code == 2
    assert "and 67 more" in result.stderr


@pytest.mark.parametrize("budget", ["0", "nan", "1e9999999", "a lot", "", "-0"])
def test_a_run_refuses_odd_money_in_plain_words(films: Path, budget: str) -> None:
    result = ask("resume", f"--budget={budget}", "-w", films)
    assert result.exit_code == 2
    assert "Decimal" not in result.stderr
    assert "above 0" in result.stderr


def test_no_screen_says_more_than_the_budget_after_it_was_raised(tmp_path: Path) -> None:
    pool, work = write_films(tmp_path / "pool.jsonl", 60), tmp_path / "work"
    words = ("run", "--pool", pool, "--labels", "good,bad", "--gold", "label", "-w", work)
    words = (*words, "--people", "simulated", "--budget", "1")
    keys = set_options(*PEOPLE_ONLY, "loop.rounds=9", "loop.batch=8")
    first = done(*words, *keys)
    said = done("resume", "--budget", "2", "-w", work)
    run = name_of(work)
    shown = [said, done("status", run, "-w", work), page_of(work)]
    assert 'usd = "2"' in unescape(page_of(work)).replace("&#34;", '"')
    assert " of 1.00 USD" in first
    for text in shown:
        assert " of 2.00 USD" in text
        for spent, cap in re.findall(r"([\d.]+)\sUSD\D{0,3}of ([\d.]+)\sUSD", text):
            assert float(spent) <= float(cap) == 2
    assert "\t2.00 USD\t" in done("status", "-w", work)


def test_an_export_of_a_run_by_people_names_people_only(films: Path, tmp_path: Path) -> None:
    done("export", "-w", films, "-o", tmp_path / "labels.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text().splitlines()]
    assert rows
    for row in rows:
        assert row["who"].startswith("human:")
        assert "llm:" not in json.dumps(row)
    done("export", "-w", films, "-f", "label-studio", "-o", tmp_path / "studio.json")
    assert "llm:" not in (tmp_path / "studio.json").read_text()


# ---------------------------------------------------------------- what the provider took


def lines_that_begin(word: str, text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith(word)]


def test_texts_lost_to_the_provider_are_counted_with_the_reason(tmp_path: Path) -> None:
    pool, work = tmp_path / "pool.jsonl", tmp_path / "work"
    rows = [
        {"text": f"number {i}: a {'great' if i % 2 else 'dull'} film" + f" {FILTERED}" * (i < 3)}
        for i in range(20)
    ]
    pool.write_text("\n".join(map(json.dumps, rows)))
    with serving(Behaviour(keywords={"great": "good", "dull": "bad"}, manner="filter")) as server:
        said = done(*served(server.base_url, pool, work))
    status = done("status", name_of(work), "-w", work)
    for shown in (said, status):
        (line,) = lines_that_begin("Refused", shown)
        assert line.startswith("Refused   3 texts: 'The prompt was filtered.' (see querist status")
    assert "  Refused, 3 texts: The prompt was filtered." in status
    assert "refused 3 The prompt was filtered." in page_of(work)


def test_a_run_that_lost_nothing_says_nothing_of_it(films: Path) -> None:
    said = (films / "said.txt").read_text()
    for word in ("Refused", "Failed", "Unread", "Cut off"):
        assert not lines_that_begin(word, said)
    assert "the provider" not in page_of(films)


def test_what_was_learnt_about_an_endpoint_is_said_once(tmp_path: Path) -> None:
    pool, work = write_films(tmp_path / "pool.jsonl", 20), tmp_path / "work"
    behaviour = Behaviour(keywords={"great": "good", "dull": "bad"}, manner="no_logprobs")
    with serving(behaviour) as server:
        done(*served(server.base_url, pool, work))
        done("resume", "--set", "loop.rounds=3", "-w", work)
    status = done("status", name_of(work), "-w", work)
    notes = lines_that_begin("Note", status)
    assert notes
    assert len(notes) == len(set(notes))
    assert notes[0].removeprefix("Note      ")[:40] in unescape(page_of(work))
