"""What is said in the terminal when a run ends, pauses or waits."""

from __future__ import annotations

from pathlib import Path

from querist.app.terminal.place import Place
from querist.app.terminal.screen import Screen, dollars, plural, source_words, sparkline
from querist.app.views.report_data import NOTHING_MISSING, ReportData
from querist.tools.wording import any_of, shorten

MOST_NOTICES = 5
_LONGEST_REASON = 80


def show_summary(screen: Screen, data: ReportData, place: Place, *, report: Path | None) -> None:
    """Print curve, quality, labels, money, open questions, and what to type next."""
    _show_quality(screen, data)
    top = data.headline
    screen.line(
        f"Labels    {top.labels:,} of {plural(top.pool, 'example')}: "
        + (", ".join(f"{row.count:,} {_by(row.source)}" for row in data.sources) or "none")
    )
    missing = [row.name for row in data.classes if not row.total]
    if top.labels and missing:
        screen.line(
            f"Missing   no example was labelled {any_of(missing)}: the model cannot know it",
            style="yellow",
        )
    _show_troubles(screen, data, place)
    if data.people.words:
        screen.line(f"Checked   {data.people.words}")
    spent = ", ".join(f"{row.agent} {dollars(row.usd)}" for row in data.spend if row.usd > 0)
    screen.line(
        f"Money     {dollars(top.spent)} of {dollars(top.cap)}" + (f": {spent}" if spent else "")
    )
    if data.people_kind == "simulated":
        screen.line(
            f"People    simulated, wrong on purpose in {data.error_rate:.0%} of their answers",
            style="yellow",
        )
    _show_next(screen, data, place)
    if report is not None:
        screen.line(f"Report    {report}")
    if data.model_folder:
        screen.line(f"Model     {data.model_folder}")
        words = place.command(f"predict {data.run} FILE --output predicted.csv")
        screen.line(f"Predict   {words}")
    if top.labels:
        words = place.command(f"export {data.run} --output labels.jsonl")
        screen.line(f"Export    {words}")


def _show_quality(screen: Screen, data: ReportData) -> None:
    top = data.headline
    measured = top.measured
    if measured.own is not None:
        screen.line(f"{measured.name:<9} {measured.words(measured.own)} {measured.own_words}")
    if measured.corrected_words:
        screen.line(f"Corrected {measured.corrected_words}")
    if measured.test is not None:
        screen.line(f"Test      {measured.words(measured.test)} {measured.test_words}")
    if top.target_words:
        screen.line(f"Take home {top.target_words}", style="bold")
    if measured.verdict:
        screen.line(f"Believe   {measured.verdict}")
    if len(data.rounds) > 1:
        curve = sparkline([round_.metric for round_ in data.rounds])
        rounds = plural(len(data.rounds), "round")
        screen.line(f"Curve     {curve}  {measured.name} over {rounds}")
    if top.leaks:
        screen.line(f"Left out  {top.leaks}", style="yellow")


def _show_troubles(screen: Screen, data: ReportData, place: Place) -> None:
    """Say which texts were looked at in vain and why, and what was learnt about a provider."""
    for row in data.lost:
        more = " and other reasons" if len(row.reasons) > 1 else ""
        screen.line(
            f"{row.word:<9} {plural(row.count, 'text')}: {shorten(row.reason, _LONGEST_REASON)}"
            f"{more} (see {place.command(f'status {data.run}')})",
            style="yellow",
        )
    for text in data.notices[:MOST_NOTICES]:
        screen.line(f"Note      {text}")
    if len(data.notices) > MOST_NOTICES:
        more = f"{len(data.notices) - MOST_NOTICES:,} more"
        screen.line(f"Note      ... and {more}: see {place.command(f'status {data.run}')}")


def _show_next(screen: Screen, data: ReportData, place: Place) -> None:
    run = data.run
    if data.status == "waiting":
        _show_waiting(screen, data, place)
    elif data.questions:
        screen.line(
            f"Questions {plural(len(data.questions), 'question')} open; answer with: "
            f"{place.command(f'inbox {run}')}",
            style="bold",
        )
    if data.people.disputes:
        screen.line(
            f"Disputes  {plural(data.people.disputes, 'answer')} to settle: "
            f"{place.command(f'inbox settle {run}')}",
            style="bold",
        )
    if data.doubts:
        screen.line(
            f"In doubt  {plural(len(data.doubts), 'call')} of a killed process, "
            f"{dollars(data.headline.in_doubt)}: {place.command(f'reconcile {run} --billed')}",
            style="yellow",
        )
    if data.status in {"paused", "interrupted", "failed", "created"}:
        first = "after that, go on" if data.questions else "go on"
        screen.line(f"Next      {first} with: {place.command(f'resume {run}')}", style="bold")


def _show_waiting(screen: Screen, data: ReportData, place: Place) -> None:
    """Say what a waiting run waits for, and what to type."""
    run, said = data.run, data.reason.rstrip(".")
    answer, go_on = place.command(f"inbox {run}"), place.command(f"resume {run}")
    proceed = place.command(f"proceed {run}")
    if said == NOTHING_MISSING.rstrip("."):
        then = "it goes on by itself" if data.is_driven else f"go on with: {go_on}"
        screen.line(f"Waiting   {said}; {then}", style="bold")
        return
    screen.line(f"Waiting   {said}", style="bold")
    if data.is_driven:
        screen.line(f"Next      {answer} is all it takes: the run goes on by itself", style="bold")
        screen.line(f"          or without the answers: {proceed}")
        return
    screen.line(f"Next      {answer} and then {go_on}", style="bold")
    screen.line(f"          or without the answers: {proceed} and then {go_on}")


def _by(source: str) -> str:
    words = source_words(source)
    return words if source == "generated" else f"by {words}"
