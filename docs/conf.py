"""The docs site: the pages of this folder as they are, and the reference from the docstrings.

`make docs` builds it into `build/docs`. Pages stay plain Markdown that GitHub shows; what a site
can do and GitHub cannot is added here while a page is read: the reference under a heading that
names a module, and the picture of the house as a list.
"""

from __future__ import annotations

import re

from docutils import nodes
from docutils.parsers.rst import Directive
from pydantic import BaseModel
from sphinx.application import Sphinx

# Before autodoc sees a pydantic model: it writes annotations into the class that pydantic then
# cannot read, and no further model can be declared.
import querist.app.client  # noqa: F401

project = "Querist"
html_title = "Querist"
extensions = ["myst_parser", "sphinx.ext.autodoc"]
# What experiments wrote down to go on from; their tables stand in the pages.
exclude_patterns = ["results"]

# Anchors are GitHub's, so that a link works in both places.
myst_heading_anchors = 4
myst_fence_as_directive = ["mermaid"]

html_theme = "furo"
html_show_sphinx = False
html_show_copyright = False
html_copy_source = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0f6b6b", "color-brand-content": "#0f6b6b"},
    "dark_css_variables": {"color-brand-primary": "#5cc2bd", "color-brand-content": "#5cc2bd"},
}

# Docstrings are plain text with Markdown's backticks.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_default_options = {"no-value": True, "exclude-members": "model_config"}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
add_module_names = False

_MODULE = re.compile(
    r"^## `(?P<module>querist\.[\w.]+)`\n\n(?:.+\n)+"
    r"(?:\nNames: (?P<names>(?:.+\n)+))?(?:\nValues: (?P<values>(?:.+\n)+))?",
    re.MULTILINE,
)


def _put_reference(_: Sphinx, page: str, source: list[str]) -> None:
    """Put a module's docstrings under the heading that names it, for the sentence that is there."""
    if page.startswith("api/"):
        source[0] = _MODULE.sub(_reference, source[0])


def _reference(match: re.Match[str]) -> str:
    names, values = (re.findall(r"`([\w.]+)`", match[key] or "") for key in ("names", "values"))
    lines = [f".. automodule:: {match['module']}", f"   :members: {', '.join(names)}"]
    # Autodoc finds the words on a value only where the value is made.
    lines += [f"\n.. autodata:: {value}\n   :no-value:" for value in values]
    return "\n".join([f"## `{match['module']}`", "", "```{eval-rst}", *lines, "```", ""])


def _mark_code(
    _app: Sphinx, _what: str, _name: str, _of: object, _: object, lines: list[str]
) -> None:
    """Make code of what a docstring indents after an empty line."""
    marked: list[str] = []
    is_code = False
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("    ") and not before.strip() and not is_code:
            marked += ["::", ""]
            is_code = True
        elif line.strip() and not line.startswith("    "):
            is_code = False
        marked.append(line)
    lines[:] = marked


def _shorten(
    _app: Sphinx, _what: str, _name: str, of: object, _: object, *_said: str | None
) -> tuple[str, None] | None:
    """Leave a model's signature out: it repeats every field with the defaults of all sections."""
    return ("", None) if isinstance(of, type) and issubclass(of, BaseModel) else None


class _House(Directive):
    """The picture in docs/architecture.md as a list of what each room imports."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        """Read Mermaid's lines; drawing them would take a script from elsewhere."""
        imports: dict[str, list[str]] = {}
        for room, other in re.findall(r"(\w+) [-=]+> (\w+)", "\n".join(self.content)):
            imports.setdefault(room, []).append(_place(other))
        found = nodes.bullet_list()
        for room, others in imports.items():
            line = nodes.paragraph("", "", nodes.strong(text=_place(room)))
            line += nodes.Text(f" imports {', '.join(others)}")
            found += nodes.list_item("", line)
        return [found]


def _place(room: str) -> str:
    return room.replace("_", "/", 1).replace("/itself", "'s own modules")


def setup(app: Sphinx) -> None:
    """Add what GitHub does not need."""
    app.add_directive("mermaid", _House)
    app.connect("source-read", _put_reference)
    app.connect("autodoc-process-docstring", _mark_code)
    app.connect("autodoc-process-signature", _shorten)
