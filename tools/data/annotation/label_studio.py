"""Label Studio's import format: tasks with predictions and annotations, and the interface's XML.

What people said becomes an annotation, what models said a prediction with its score, so that
reviewing in Label Studio starts from both. https://labelstud.io/guide/tasks
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

from querist.memory.answers import Answer, Choices, Spans
from querist.memory.records import Example, Label, Task
from querist.tools.kinds.interfaces import control_of

_CONTROL = "label"
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_tasks(
    rows: Iterable[tuple[Example, Label | None, Mapping[str, object]]], path: Path, *, task: Task
) -> None:
    """Write examples with their labels and provenance as tasks to import."""
    with path.open("w", encoding="utf-8", errors="replace", newline="\n") as stream:
        separator = "[\n"
        for example, label, provenance in rows:
            entry = _task(example, label, provenance, task=task)
            stream.write(separator + json.dumps(entry, ensure_ascii=False))
            separator = ",\n"
        stream.write("[]\n" if separator == "[\n" else "\n]\n")


def write_interface(task: Task, path: Path, *, fields: Sequence[str]) -> None:
    """Write the labelling interface: the fields, and a control that fits the task's answers."""
    view = ET.Element("View")
    if task.instructions:
        ET.SubElement(view, "Header", {"value": _xml(task.instructions)})
    for name in fields:
        ET.SubElement(view, "Text", {"name": _tag(name), "value": f"${_tag(name)}"})
    _add_control(view, task, about={"name": _control(fields), "toName": _tag(fields[0])})
    ET.indent(view)
    path.write_text(ET.tostring(view, encoding="unicode") + "\n", encoding="utf-8")


def _add_control(view: ET.Element, task: Task, *, about: Mapping[str, str]) -> None:
    wanted = control_of(task.kind)
    if wanted == "text":
        ET.SubElement(view, "TextArea", dict(about))
        return
    options = [(label.name, label.description) for label in task.labels]
    if wanted == "spans":
        control, option = ET.SubElement(view, "Labels", dict(about)), "Label"
    else:
        control = ET.SubElement(view, "Choices", {**about, "choice": wanted})
        option = "Choice"
    for name, description in options:
        hint = {"hint": _xml(description)} if description else {}
        ET.SubElement(control, option, {"value": _xml(name), **hint})


def _task(
    example: Example, label: Label | None, provenance: Mapping[str, object], *, task: Task
) -> dict[str, object]:
    entry: dict[str, object] = {
        "data": {
            **{_tag(name): text for name, text in example.fields.items()},
            "querist_id": example.id,
        },
        "meta": dict(provenance),
    }
    if label is None:
        return entry
    result = _result(label.answer, example, task=task)
    if label.source in {"human", "gold"}:
        entry["annotations"] = [{"result": result, "ground_truth": label.source == "gold"}]
    else:
        score = provenance["p_correct"]
        entry["predictions"] = [{"model_version": label.who, "score": score, "result": result}]
    return entry


def _result(answer: Answer, example: Example, *, task: Task) -> list[dict[str, object]]:
    fields = tuple(example.fields) or task.fields
    about = {"from_name": _control(fields), "to_name": _tag(fields[0])}
    if isinstance(answer, Spans):
        text = example.fields.get(fields[0], "")
        spans = [
            {"start": s.start, "end": s.end, "text": text[s.start : s.end], "labels": [s.label]}
            for s in answer.values
        ]
        return [{**about, "type": "labels", "value": span} for span in spans]
    chosen = list(answer.values) if isinstance(answer, Choices) else [str(answer.value)]
    if control_of(task.kind) == "text":
        return [{**about, "type": "textarea", "value": {"text": chosen}}]
    return [{**about, "type": "choices", "value": {"choices": chosen}}]


def _control(fields: Sequence[str]) -> str:
    # Names are unique within an interface, and a field may be called `label` too.
    return f"querist_{_CONTROL}" if _CONTROL in fields else _CONTROL


def _tag(name: str) -> str:
    """Name a field as both the data and the interface can: a dot would lead into an object."""
    return _xml(name).replace(".", "_")


def _xml(text: str) -> str:
    """Leave out what XML cannot hold even escaped; the rest is escaped on writing."""
    return _NOT_XML.sub("", text)
