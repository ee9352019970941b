"""The picture in docs/architecture.md is drawn from the imports, so that it cannot lie.

After a change that the picture should show: python -m pytest tests/test_architecture.py
--write-golden
"""

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "architecture.md"
FOLDERS = ("app", "evals", "graph", "agents", "tools", "memory")
START, END = "<!-- drawn by tests/test_architecture.py -->\n", "<!-- drawn up to here -->\n"
MOST_MODULES = 15
"""In a folder: more are hard to look over."""
# The nouns and their homes stay side by side, as the design lists them.
# An experiment is a module that is run by itself.
MORE: dict[str, int] = {}


def room_of(module):
    """Name the folder and room of a module: ("graph", "round"); the folder's own is ""."""
    parts = module.split(".")[1:]
    folder, rest = parts[0], parts[1:]
    path = ROOT / folder / (rest[0] if rest else "")
    return folder, rest[0] if rest and path.is_dir() else ""


def imports():
    """Count imports by pairs of rooms."""
    found = Counter()
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            if "migrations" in path.parts:
                continue
            name = ".".join(("querist", *path.relative_to(ROOT).with_suffix("").parts))
            here = room_of(name.removesuffix(".__init__"))
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("querist."):
                    there = room_of(node.module)
                    if there[0] in FOLDERS and there != here:
                        found[here, there] += 1
    return found


def node(folder, room):
    return f"{folder}_{room}" if room else f"{folder}_itself"


def picture():
    """Draw folders with their rooms; room by room inside a folder, else folder by folder."""
    found = imports()
    lines = ["```mermaid", "flowchart TB"]
    for folder in FOLDERS:
        rooms = sorted({room for pair in found for name, room in pair if name == folder})
        lines.append(f'  subgraph {folder}["{folder}/"]')
        lines += [f'    {node(folder, room)}["{room or "its own modules"}"]' for room in rooms]
        inside = sorted(
            (here[1], there[1]) for here, there in found if here[0] == there[0] == folder
        )
        lines += [f"    {node(folder, here)} --> {node(folder, there)}" for here, there in inside]
        lines.append("  end")
    # Without numbers: a picture that changes with every import is not looked at any more.
    between = sorted({(here[0], there[0]) for here, there in found if here[0] != there[0]})
    lines += [f"  {here} ==> {there}" for here, there in between]
    return "\n".join([*lines, "```", ""])


def test_the_picture_of_the_house_is_true(request):
    text = PAGE.read_text()
    before, rest = text.split(START)
    drawn, after = rest.split(END)
    if request.config.getoption("--write-golden"):
        drawn = picture()
        PAGE.write_text(before + START + drawn + END + after)
    assert drawn == picture(), "Draw it anew: pytest tests/test_architecture.py --write-golden"


def test_every_room_has_a_paragraph():
    text = PAGE.read_text()
    rooms = {
        f"{path.parent.relative_to(ROOT)}"
        for folder in FOLDERS
        for path in (ROOT / folder).glob("*/__init__.py")
    }
    missing = sorted(room for room in rooms if f"`{room}/`" not in text)
    assert not missing


def test_no_folder_holds_more_modules_than_one_can_look_over():
    counts = {
        str(folder.relative_to(ROOT)): len(list(folder.glob("*.py"))) - 1
        for top in FOLDERS
        for folder in [ROOT / top, *(ROOT / top).rglob("*/")]
        if (folder / "__init__.py").exists()
    }
    over = {n: count for n, count in counts.items() if count > MORE.get(n, MOST_MODULES)}
    assert not over


def test_imports_between_folders_point_down():
    above = {"app": 0, "evals": 0, "graph": 1, "agents": 2, "tools": 3, "memory": 4}
    upward = {
        f"{here[0]} -> {there[0]}"
        for here, there in imports()
        if above[here[0]] > above[there[0]] and here[0] != there[0]
    }
    assert not upward
