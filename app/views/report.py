"""The report: one HTML file with everything in it, for a browser, a printer or an archive."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from markupsafe import Markup

from querist.app.terminal.screen import percent, source_words
from querist.app.terminal.toml_text import to_toml
from querist.app.views import charts
from querist.app.views.charts import colour
from querist.app.views.facts import calls_of, facts, machine_weight
from querist.app.views.report_data import ReportData
from querist.memory.errors import StoreError
from querist.memory.files import write_whole

REPORT = "report.html"
MOST_CLASSES = 15
"""Classes that a chart and the open part of a table show; the folded part has the others."""
_MOST_IN_MATRIX = 20
_MOST_PAIRS = 200
_MOST_QUESTIONS = 200
_MOST_DECISIONS = 200
"""The latest, which can be opened; of earlier ones the reasons are listed."""
_LONGEST_TEXT = 2_000


def write_report(data: ReportData, target: Path) -> Path:
    """Write the report, whole or not at all."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_whole(target, render(data).encode())
    except OSError as error:
        raise StoreError(
            f"The report cannot be written to {target} ({error.strerror or error}). Choose "
            "another place with --output."
        ) from error
    return target


def render(data: ReportData) -> str:
    """Make the page. Texts of the pool are untrusted; the template escapes whatever it is given."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("querist.app.views", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": _percent,
        "usd": _usd,
        "facts": facts,
        "calls": calls_of,
        "weight": machine_weight,
        "colour": colour,
        "source": source_words,
        "cut": _cut,
    }
    template = environment.get_template(REPORT)
    return template.render(data=data, charts=_charts(data), **_texts(data))


def _texts(data: ReportData) -> dict[str, Any]:
    classes = sorted(data.classes, key=lambda row: -row.total)
    confused = _confused(data)
    return {
        "config": to_toml(_without_secrets(data.config)),
        "classes": classes[:MOST_CLASSES],
        "more_classes": classes[MOST_CLASSES:],
        "more_confused": confused[MOST_CLASSES:],
        "latest": data.decisions[-_MOST_DECISIONS:],
        "earlier": data.decisions[:-_MOST_DECISIONS],
        "questions": data.questions[:_MOST_QUESTIONS],
        "has_matrix": data.judged is not None and len(data.judged.names) <= _MOST_IN_MATRIX,
        "confused": confused[:MOST_CLASSES],
        "sources": sorted({source for row in data.classes for source in row.by_source}, key=colour),
    }


def _charts(data: ReportData) -> dict[str, Markup]:
    classes = sorted(data.classes, key=lambda row: -row.total)[:MOST_CLASSES]
    return {
        "by_usd": charts.curve(
            _points(data, lambda round_: float(round_.usd)),
            title=f"{data.headline.measured.name} against money",
            x_label="US dollars spent",
        ),
        "by_labels": charts.curve(
            _points(data, lambda round_: float(round_.labelled)),
            title=f"{data.headline.measured.name} against labels",
            x_label="labels",
        ),
        "spend": charts.bars(
            [
                charts.Bar(f"{row.agent} ({row.kind})", {row.kind: float(row.usd)}, _usd(row.usd))
                for row in data.spend
                if row.usd > 0
            ],
            title="Spend by agent and kind",
        ),
        "classes": charts.bars(
            [charts.Bar(row.name, row.by_source, str(row.total)) for row in classes],
            title="Labels by class and source",
        ),
        "reliability": charts.reliability(
            [(bin_.confidence, bin_.accuracy, bin_.count) for bin_ in data.judged.bins],
            title="How sure against how right",
            source=data.judged.source,
        )
        if data.judged
        else Markup(),
    }


def _points(data: ReportData, place: Any) -> list[charts.Point]:
    points = []
    for round_ in data.rounds:
        test = round_.detail.get("test")
        counts = f"{round_.labelled} labels, {_usd(round_.usd)}"
        words = f"round {round_.number}: {percent(round_.metric)}, {counts}"
        points.append(
            charts.Point(
                place(round_),
                round_.metric,
                round_.metric_low,
                round_.metric_high,
                float(test) if isinstance(test, int | float) else None,
                words,
            )
        )
    return points


def _confused(data: ReportData) -> list[tuple[str, str, int]]:
    """List what is mistaken most, for when there are too many classes to show all."""
    if data.judged is None:
        return []
    names = data.judged.names
    pairs = [
        (names[right], names[said], count)
        for right, row in enumerate(data.judged.matrix)
        for said, count in enumerate(row)
        if right != said and count
    ]
    return sorted(pairs, key=lambda pair: -pair[2])[:_MOST_PAIRS]


def _percent(share: float | None) -> str:
    return percent(share).replace(" ", "\N{NO-BREAK SPACE}")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}…"


def _usd(amount: Decimal) -> str:
    places = 6 if amount and abs(amount) < Decimal("0.01") else 2
    return f"{amount:,.{places}f}\N{NO-BREAK SPACE}USD"


def _without_secrets(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Leave a password out that somebody wrote into an address."""
    models: Mapping[str, Any] = config["models"]
    url = models.get("base_url")
    if not url:
        return config
    return {**config, "models": {**models, "base_url": re.sub(r"//[^/@]*@", "//", str(url))}}
