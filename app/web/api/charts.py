"""The pictures of a run as SVG, which take their colours from the page; drawn as in the report."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response
from markupsafe import Markup

from querist.app.terminal.screen import dollars, percent
from querist.app.views import charts
from querist.app.views.state.run_view import ClassCount, Spent, run_view
from querist.app.web.desk import Row, Shared, Viewer
from querist.memory.records import Round
from querist.memory.run.journal import Journal
from querist.memory.run.runs import Runs

router = APIRouter(tags=["runs"])
_MOST_CLASSES = 15


class Svg(Response):
    """A picture."""

    media_type = "image/svg+xml"


@router.get("/runs/{run}/charts/curve.svg", response_class=Svg)
def draw_curve(
    desk: Shared,
    _: Viewer,
    row: Row,
    by: Literal["labels", "usd"] = "labels",
    beside: Annotated[str, Query(max_length=200)] = "",
) -> Svg:
    """Draw the learning curve against labels or money, with its 90 % interval.

    `beside` names another run to compare it with.
    """
    rounds = Journal(desk.store, row.id).rounds()
    others = Journal(desk.store, Runs(desk.store).get(beside).id).rounds() if beside else []
    label = "labels" if by == "labels" else "US dollars spent"
    drawn = charts.curve(
        [_point(done, by) for done in rounds],
        title=f"Quality against {label}",
        x_label=label,
        beside=[_point(done, by) for done in others],
    )
    return _svg(drawn)


@router.get("/runs/{run}/charts/spend.svg", response_class=Svg)
def draw_spend(desk: Shared, _: Viewer, row: Row) -> Svg:
    """Draw what each agent spent."""
    view = run_view(desk.store, row)
    return _svg(charts.bars([_spent(s) for s in view.spend if s.usd > 0], title="Spend by agent"))


@router.get("/runs/{run}/charts/classes.svg", response_class=Svg)
def draw_classes(desk: Shared, _: Viewer, row: Row) -> Svg:
    """Draw how many labels each class has, by source; those with most labels first."""
    counts = sorted(run_view(desk.store, row).classes, key=_total, reverse=True)[:_MOST_CLASSES]
    rows = [
        charts.Bar(counted.name, counted.by_source, f"{_total(counted):,}") for counted in counts
    ]
    return _svg(charts.bars(rows, title="Labels by class and source"))


def _point(done: Round, by: str) -> charts.Point:
    test = done.detail.get("test")
    return charts.Point(
        float(done.labelled if by == "labels" else done.usd),
        done.metric,
        done.metric_low,
        done.metric_high,
        float(test) if isinstance(test, int | float) else None,
        f"round {done.number}: {percent(done.metric)}, {done.labelled} labels, {dollars(done.usd)}",
    )


def _spent(spent: Spent) -> charts.Bar:
    name = f"{spent.agent.replace('_', ' ')} ({spent.kind})"
    return charts.Bar(name, {spent.kind: float(spent.usd)}, dollars(spent.usd))


def _total(counted: ClassCount) -> int:
    return sum(counted.by_source.values())


def _svg(drawn: Markup) -> Svg:
    # In a page a drawing needs no namespace; as a file of its own it does.
    svg = str(drawn) or '<svg viewBox="0 0 0 0"/>'
    return Svg(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))
