"""What outsiders may rely on is written down, and what nobody else uses is private."""

from __future__ import annotations

import ast
import importlib
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("memory", "tools", "agents", "graph", "app", "evals")
SURFACES = {
    "querist.graph.jobs": (
        "CreateRequest FoundAttributes JobQuote JobRequest LabelRequest Worker extend "
        "find_attributes load_request quote_create read_request rows_of submit write_result"
    ),
    "querist.tools.gates.port": "Candidate Finding GATES Gate Setting gate",
    "querist.agents.generator.methods.port": "Ask Brief Draft METHODS Method Need method",
    "querist.agents.verifier.gates.port": "Bench Judged MODEL_GATES ModelGate model_gate",
    "querist.graph": "Run",
    "querist.evals.contracts": (
        "check_annotator check_embedder check_gate check_generator check_kind check_method "
        "check_signal check_stopping_rule check_strategy check_trainer"
    ),
    "querist.agents.selector.acquisition": (
        "Acquisition Advisor Imputer NearRows PartialBuyer PreferenceInference"
    ),
    "querist.agents.annotator.kinds": "ASKINGS Asking ChoiceAsking Opinion asking asking_of",
    "querist.app.chat": "Here Talk complete parse perform supervise",
    "querist.app.client": "ApiError AsyncClient Client",
    "querist.app.answers.kinds": (
        "ANSWERINGS USUAL Answering OptionAnswering answering answering_of"
    ),
    "querist.tools.kinds": (
        "AnswerSet DEFAULT KINDS Kind Measure SingleChoice answers_of find_kind kind kind_of"
    ),
    "querist.tools.registry": (
        "Count Declaration Entry Parameter Positive Registry Share declare make_card"
    ),
    "querist.tools.strategies": (
        "Capability QueryContext QueryResult QueryStrategy STRATEGIES Strategy available get "
        "strategy"
    ),
    "querist.tools.training.port": (
        "Inputs Need Predictor TRAINERS Trainer TrainingRows Watch trainer"
    ),
    "querist.tools.training.model_folder": "Model Predictions Record",
    "querist.tools.embedding.embedders": (
        "EMBEDDERS Embedder HashingEmbedder MiniLM embed_all embedder open_embedder "
        "shared_embedder weights_of"
    ),
    "querist.tools.opinions.signals": "SIGNALS Signal SignalView signal",
    "querist.agents.generator.port": "GENERATORS Generator Wanted generator",
    "querist.agents.annotator.port": ("ANNOTATORS Annotations Annotator Chunk Item annotator"),
    "querist.tools.opinions.stopping": (
        "History STOPPING_RULES StoppingRule agreement stopping_rule"
    ),
}
"""Modules that a plug-in or another program may import from, and what. The rest may move."""
IN_SCHEMAS = {"Written", "Answer"}
"""The name is in the JSON schema of a request, so in its key: replies are found by it."""


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(("querist", *(parts[:-1] if parts[-1] == "__init__" else parts)))


@cache
def trees() -> dict[str, tuple[Path, ast.Module]]:
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return {name_of(path): (path, ast.parse(path.read_text())) for path in paths}


def declared(tree: ast.Module) -> Iterator[tuple[str, ast.stmt]]:
    """Give the public names that a module itself declares."""
    for node in tree.body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names = [node.name]
            case ast.Assign():
                names = [
                    part.id
                    for target in node.targets
                    for part in ast.walk(target)
                    if isinstance(part, ast.Name)
                ]
            case ast.AnnAssign(target=ast.Name(id=name)):
                names = [name]
            case _:
                names = []
        yield from ((name, node) for name in names if not name.startswith("_"))


def exported(tree: ast.Module) -> set[str]:
    """Read a module's `__all__`."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def shown(tree: ast.Module) -> set[str]:
    """Give the names in the annotations of what is public: callers meet their values."""
    found: set[str] = set()
    for node in ast.walk(tree):
        hints: list[ast.expr | None] = []
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            hints = [node.returns, *(argument.annotation for argument in every)]
        elif isinstance(node, ast.AnnAssign):
            hints = [node.annotation]
        elif isinstance(node, ast.ClassDef):
            hints = list(node.bases)
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript | ast.BinOp):
            hints = [node.value]  # an alias of types
        found |= {
            part.id
            for hint in hints
            if hint is not None
            for part in ast.walk(hint)
            if isinstance(part, ast.Name)
        }
    return found


@cache
def used() -> dict[str, set[str]]:
    """Give the names of each module that another one, or a test, takes from it."""
    every = [tree for _, tree in trees().values()]
    every += [ast.parse(path.read_text()) for path in (ROOT / "tests").rglob("*.py")]
    found: defaultdict[str, set[str]] = defaultdict(set)
    for tree in every:
        modules = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("querist"):
                for name in node.names:
                    found[node.module].add(name.name)
                    modules[name.asname or name.name] = f"{node.module}.{name.name}"
            elif isinstance(node, ast.Import):
                modules |= {name.asname: name.name for name in node.names if name.asname}
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(value=ast.Name(id=name), attr=attribute) if name in modules:
                    found[modules[name]].add(attribute)
                case ast.Call(
                    func=ast.Attribute(attr="setattr"),
                    args=[ast.Name(id=name), ast.Constant(value=str(attribute)), *_],
                ) if name in modules:
                    found[modules[name]].add(attribute)
    return found


def unused_names() -> Iterator[tuple[Path, str]]:
    """Give the public names that nobody outside their own module uses."""
    for module, (path, tree) in trees().items():
        if ".migrations.versions." in module:
            continue  # Alembic's own names
        known = used()[module] | exported(tree) | shown(tree) | IN_SCHEMAS
        for name, node in declared(tree):
            # What a decorator takes in is reached by its name: commands, strategies, trainers.
            is_registered = isinstance(
                node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
            ) and any(
                isinstance(decorator, ast.Call) and ast.unparse(decorator.func) != "dataclass"
                for decorator in node.decorator_list
            )
            is_main = name == "main" and "__main__" in path.read_text()
            if name not in known and not is_registered and not is_main:
                yield path, name


@pytest.mark.parametrize("module", SURFACES)
def test_a_surface_is_what_is_meant_and_is_all_there(module: str) -> None:
    surface = importlib.import_module(module)
    assert sorted(surface.__all__) == sorted(SURFACES[module].split())
    for name in surface.__all__:
        assert getattr(surface, name) is not None


def test_pages_import_from_surfaces_only() -> None:
    text = (ROOT / "docs" / "extending.md").read_text()
    for line in text.splitlines():
        if line.startswith("from querist"):
            _, module, _, *names = line.replace(",", "").split()
            if module.startswith("querist.memory"):
                continue
            assert set(names) <= set(SURFACES[module].split()), line


def test_every_public_name_is_used_elsewhere_or_exported() -> None:
    wrong = [f"{path.relative_to(ROOT)}: {name}" for path, name in unused_names()]
    assert not wrong, "Give these an underscore, or export them in __all__:\n" + "\n".join(wrong)
