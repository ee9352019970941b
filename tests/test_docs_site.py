"""The docs site is built without a warning, has the whole surface, and needs nobody else."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from test_surfaces import SURFACES

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
MISSING = [name for name in ("sphinx", "myst_parser", "furo") if find_spec(name) is None]
pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"{', '.join(MISSING)} not installed (pip install 'querist[docs]')"
)


def build(pages: Path, *, to: Path) -> subprocess.CompletedProcess[str]:
    """Build a site as `make docs` does: a warning is an error."""
    command = [sys.executable, "-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going"]
    return subprocess.run(
        [*command, "--conf-dir", str(DOCS), str(pages), str(to)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(DOCS, to=folder)
    assert done.returncode == 0, done.stderr[-4000:]
    return folder


def test_the_site_has_a_page_for_every_page(site: Path) -> None:
    pages = {path.relative_to(DOCS).with_suffix("") for path in DOCS.rglob("*.md")}
    pages = {page for page in pages if page.parts[0] != "results"}  # experiments write there
    assert pages <= {path.relative_to(site).with_suffix("") for path in site.rglob("*.html")}
    # The first page is the README's, not a second text.
    assert "agentic active-learning framework" in (site / "index.html").read_text()


def test_the_reference_has_every_name_of_the_surface(site: Path) -> None:
    found = {
        name
        for page in (site / "api").glob("*.html")
        for name in re.findall(r'id="(querist\.[\w.]+)"', page.read_text())
    }
    # What a package takes from a module of its own may stand there.
    missing = [
        f"{module}.{name}"
        for module, names in SURFACES.items()
        for name in names.split()
        if not any(re.fullmatch(rf"{module}\.(\w+\.)?{name}", entry) for entry in found)
    ]
    assert not missing


def test_a_page_asks_nobody_else_for_anything(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert not re.findall(r'(?:src|<link[^>]*href)="(?:https?:)?//', page.read_text()), page


def test_a_dead_link_and_a_dead_anchor_are_errors(tmp_path: Path) -> None:
    (tmp_path / "pages").mkdir()
    (tmp_path / "pages" / "index.md").write_text(
        "# First\n\n[a](nowhere.md) [b](#no-such-part) [c](index.md#nor-this) [d](#first)\n"
    )
    done = build(tmp_path / "pages", to=tmp_path / "site")
    assert done.returncode != 0
    for target in ("nowhere.md", "no-such-part", "nor-this"):
        assert target in done.stderr
    assert "'first'" not in done.stderr
