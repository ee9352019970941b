"""A LangChain chat model over the metered port: every call is reserved, settled and replayed there.

The only module of this package, with `agent`, that knows LangChain.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.outputs import ChatGeneration, ChatResult
from langchain_core.runnables import Runnable
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import ConfigDict

from querist.agents.deliberation.allowance import Account
from querist.agents.deliberation.steps import Speech, next_uses
from querist.agents.models.port import Message, ToolOffer, ToolUse


class MeteredChat(BaseChatModel):
    """Speaks for one deliberation."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    account: Account
    speech: Speech
    ruling: str
    """The name of the function that a ruling is given with."""
    schema_of_ruling: dict[str, Any]
    """Its arguments within the bounds of the evidence, which LangChain does not know."""

    @property
    def _llm_type(self) -> str:
        return "querist"

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | Any],
        *,
        tool_choice: str | None = None,  # noqa: ARG002 - a tool is called in every step
        **options: Any,
    ) -> Runnable[Any, AIMessage]:
        """Offer tools; the ruling is always the last."""
        offers = [self._offer(convert_to_openai_tool(tool)) for tool in tools]
        offers.sort(key=lambda offer: offer.name == self.ruling)
        return self.bind(offers=offers, **options)

    def _offer(self, tool: Mapping[str, Any]) -> ToolOffer:
        function = tool["function"]
        is_ruling = function["name"] == self.ruling
        parameters = self.schema_of_ruling if is_ruling else function.get("parameters", {})
        return ToolOffer(function["name"], str(function.get("description", "")), parameters)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        """Deliberations are asynchronous."""
        raise NotImplementedError

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,  # noqa: ARG002
        run_manager: Any = None,  # noqa: ARG002
        *,
        offers: Sequence[ToolOffer] = (),
        **_: Any,
    ) -> ChatResult:
        said, uses = await self._next(list(map(_turn_of, messages)), offers)
        calls = [
            # Providers name calls as they like, and not always differently.
            ToolCall(
                name=use.name,
                args=_arguments_of(use.arguments),
                id=f"{self.account.calls}-{position}",
                type="tool_call",
            )
            for position, use in enumerate(uses)
        ]
        message = AIMessage(content=said, tool_calls=calls)
        return ChatResult(generations=[ChatGeneration(message=message)])

    async def _next(
        self, turns: Sequence[Message], offers: Sequence[ToolOffer]
    ) -> tuple[str, Sequence[ToolUse]]:
        """Ask for what is said and called next; the last offer is the ruling."""
        return await next_uses(turns, offers, account=self.account, speech=self.speech)


def _turn_of(message: BaseMessage) -> Message:
    """Write a LangChain message as the port has it."""
    text = str(message.text)
    if isinstance(message, AIMessage):
        uses = tuple(
            ToolUse(str(call["id"]), call["name"], json.dumps(call["args"], sort_keys=True))
            for call in message.tool_calls
        )
        return Message("assistant", text, uses=uses)
    if isinstance(message, ToolMessage):
        return Message("tool", text, answers=message.tool_call_id)
    return Message("system" if isinstance(message, SystemMessage) else "user", text)


def _arguments_of(written: str) -> dict[str, Any]:
    """Read arguments; what is no object becomes one that no tool takes, so that it is told."""
    try:
        read = json.loads(written)
    except (ValueError, RecursionError):
        read = written[:200]
    return read if isinstance(read, dict) else {"unreadable": read}
