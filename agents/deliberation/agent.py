"""A deliberation: LangChain's agent with our agent's tools, its ruling held to the facts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from contextvars import Context as Variables
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from langchain.agents import create_agent
from langchain.agents.structured_output import ToolStrategy
from langchain_core.messages import AIMessage, BaseMessage, ToolMessage
from langchain_core.tools import StructuredTool
from pydantic import ValidationError, create_model, model_validator

from querist.agents.deliberation.allowance import Account
from querist.agents.deliberation.brief import MANNERS, Brief
from querist.agents.deliberation.chat import MeteredChat
from querist.agents.deliberation.grounding import check_grounded
from querist.agents.deliberation.steps import Speech, is_narrow
from querist.agents.deliberation.toolbox import CannotTellError, Memo, Told, Tool, page_of
from querist.agents.mind import Deliberated, DeliberationFailed, Ruling
from querist.agents.models.port import ToolsRefused
from querist.memory.errors import LeaseLost, QueristError, StoreError
from querist.memory.records import ToolCall, Turn
from querist.tools.tracing import current, span, under

E = TypeVar("E")
R = TypeVar("R", bound=Ruling)
_MOST_REJECTED = 2
"""Rulings that may be refused, each with the reason, before the rules take over."""


@dataclass
class Session(Generic[E, R]):
    """One decision that a model is asked to take."""

    brief: Brief[E, R]
    page: str
    """The facts, as they stood when the deliberation began."""
    account: Account
    speech: Speech
    tools: Sequence[Tool]
    memo: Memo
    attempt: Callable[[R], object] = lambda _: None
    """Tries a ruling before it counts, as far as that changes nothing; raises where it fails."""
    calls: list[ToolCall] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)

    async def deliberate(self, evidence: E) -> Deliberated[R]:
        """Come to a ruling; raises `DeliberationFailed`, which tells what was looked up and said.

        It runs apart from the loop's own graph: LangGraph would take it for a part of that, write
        its messages into the run's checkpoints and end it where the run is told to pause.
        """
        messages: list[BaseMessage] = []
        parent = current()

        async def run() -> R:
            with under(parent):
                return await self._run(evidence, messages)

        task = asyncio.create_task(run(), context=Variables())
        try:
            async with asyncio.timeout(self.account.allowance.seconds):
                ruling = await task
        except TimeoutError as error:
            seconds = f"{self.account.allowance.seconds:g} s"
            raise self._failed(f"no ruling came within {seconds}", messages) from error
        except RecursionError as error:
            raise self._failed("it went round in circles", messages) from error
        except ToolsRefused:
            # The endpoint has said what it does not take: the same, spoken otherwise.
            self.speech = "steps"
            return await self.deliberate(evidence)
        except (LeaseLost, StoreError):
            raise  # no mind's fault, and no run goes on without a store
        except Exception as error:
            # LangChain's errors have no common base, and none of them may stop a run.
            raise self._failed(_words_of(error), messages) from error
        return Deliberated(
            ruling,
            tuple(self.calls),
            self.account.usd,
            model=self.account.model.name,
            turns=_turns(messages),
        )

    async def _run(self, evidence: E, messages: list[BaseMessage]) -> R:
        ruling = self.brief.spec.ruling
        chat = MeteredChat(
            account=self.account,
            speech=self.speech,
            ruling=ruling.__name__,
            schema_of_ruling=self.brief.schema(
                evidence, narrow=is_narrow(self.account.model.model, self.speech)
            ),
        )
        tools = [] if self.speech == "page" else [self._offered(tool) for tool in self.tools]
        agent: Any = create_agent(
            chat,
            tools,
            system_prompt=f"{self.brief.duty}\n{MANNERS}",
            response_format=ToolStrategy(
                self._held(evidence), handle_errors=self._reject, tool_message_content="Ruled."
            ),
            checkpointer=False,
        )
        asked = f"{self.page}\nYou have {self.account.words}."
        steps = agent.astream(
            {"messages": [{"role": "user", "content": asked}]},
            {"recursion_limit": 4 * self.account.allowance.calls + 8},
            stream_mode="values",
        )
        found: Any = None
        async for state in steps:
            messages[:] = state["messages"]
            found = state.get("structured_response")
            if found is None and len(self.rejected) > _MOST_REJECTED - 1:
                raise DeliberationFailed(self.rejected[-1])
        if found is None:
            raise DeliberationFailed("it ended without a ruling")
        return ruling.model_validate(found.model_dump())

    def _held(self, evidence: E) -> type[R]:
        """Make the ruling's type, held to the bounds and to the facts as it is read."""
        spec = self.brief.spec
        duty = f"{self.brief.duty} {MANNERS}"
        facts = self.brief.facts(evidence)

        def hold(ruling: R) -> R:
            try:
                if spec.check is not None:
                    spec.check(evidence, ruling)
                self.attempt(ruling)
            except (LeaseLost, StoreError):
                raise
            except Exception as error:
                # Pydantic hands on no errors but these; a strategy may fail in any way.
                raise ValueError(_words_of(error)) from error
            own = json.dumps(ruling.model_dump(mode="json", exclude={"reason"}))
            shown = [self.page, own, *(call.result for call in self.calls)]
            check_grounded(ruling.reason, facts=facts, shown=shown, instructions=duty)
            return ruling

        def derive(given: Any) -> Any:
            if not isinstance(given, dict):
                return given
            reads, derived = self.brief.reads.items(), self.brief.derived.items()
            read = {name: mean(evidence, given[name]) for name, mean in reads if name in given}
            return given | read | {name: value(evidence, given) for name, value in derived}

        validators: dict[str, Any] = {
            "derive": model_validator(mode="before")(derive),
            "hold": model_validator(mode="after")(hold),
        }
        held: type[R] = create_model(
            spec.ruling.__name__,
            __base__=spec.ruling,
            __doc__="Your ruling: it ends the deliberation.",
            __validators__=validators,
        )
        return held

    def _reject(self, error: Exception) -> str:
        """Tell the model what is wrong with its ruling."""
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, ValidationError):
            cause = cause.__cause__ or getattr(cause, "source", None)
        words = _first_error(cause) if isinstance(cause, ValidationError) else str(error)[:300]
        self.rejected.append(words)
        return f"That ruling does not hold: {words}. Rule again. {self.account.words}."

    def _offered(self, tool: Tool) -> StructuredTool:
        """Offer a tool as LangChain has them; what it told is kept, and told again."""

        async def run(**given: Any) -> str:
            arguments = tool.arguments.model_validate(given)
            plain = arguments.model_dump(mode="json")
            told = self.memo.recall(tool.name, plain)
            if told is None:
                before = self.account.charged
                with span(f"execute_tool {tool.name}", gen_ai__tool__name=tool.name) as timed:
                    result = await _told(tool, arguments)
                    told = Told(result, self.account.charged - before)
                    timed.note(querist__usd=told.usd)
                self.memo.keep(tool.name, plain, told)
            else:
                self.account.charge(told.usd)
            self.calls.append(ToolCall(tool.name, plain, told.result))
            return f"{told.result}\n({self.account.words})"

        def explain(error: Any) -> str:
            words = _first_error(error)
            self.calls.append(ToolCall(tool.name, {}, f"refused: {words}"))
            fields = ", ".join(tool.arguments.model_fields) or "no arguments"
            return f"{words}. Ask again with: {fields}."

        return StructuredTool.from_function(
            coroutine=run,
            name=tool.name,
            description=tool.description,
            args_schema=tool.arguments,
            handle_validation_error=explain,
        )

    def _failed(self, words: str, messages: list[BaseMessage]) -> DeliberationFailed:
        return DeliberationFailed(
            words,
            tool_calls=tuple(self.calls),
            usd=self.account.usd,
            model=self.account.model.name,
            turns=_turns(messages),
        )


async def _told(tool: Tool, arguments: Any) -> str:
    try:
        return page_of(await tool.run(arguments))
    except CannotTellError as error:
        return str(error)
    except (LeaseLost, StoreError, DeliberationFailed):
        raise
    except Exception as error:  # noqa: BLE001 - what is only tried must not stop a run
        return f"That could not be computed ({_words_of(error)}). Try something else, or rule."


def _words_of(error: Exception) -> str:
    """Say what happened; an error of ours says it itself."""
    known = isinstance(error, QueristError | ValueError)
    return str(error) if known else f"{type(error).__name__}: {str(error)[:200]}"


def _first_error(error: Any) -> str:
    if not isinstance(error, ValidationError):
        return str(error)[:300]
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    words = str(first["msg"]).removeprefix("Value error, ")[:300]
    return f"{where}: {words}" if where else words


def _turns(messages: Sequence[BaseMessage]) -> tuple[Turn, ...]:
    """Write down what was said, by whom; what a tool told stands with its call."""
    turns = []
    for message in messages:
        if isinstance(message, AIMessage):
            called = [f"{call['name']} {json.dumps(call['args'])}" for call in message.tool_calls]
            turns.append(Turn("model", "\n".join([str(message.text), *called]).strip()))
        elif isinstance(message, ToolMessage):
            turns.append(Turn(f"tool {message.name}", str(message.text)))
        else:
            turns.append(Turn("querist", str(message.text)))
    return tuple(turns)
