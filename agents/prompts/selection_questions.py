"""Prompts that ask a language model about one text: is it worth it, how hard is it, what is it.

As in `selection`: instructions alone in the system role, the text last, as a JSON string.
"""

from __future__ import annotations

from collections.abc import Sequence

from querist.agents.annotator.prompt import LONGEST_DEMONSTRATION, Demonstration
from querist.agents.models.port import ChatRequest, Message
from querist.agents.prompts.selection import DATA, quote
from querist.memory.answers import name_of
from querist.memory.records import Example, Task

GOOD_TRAINING_TEXT = (
    "A text is worth training on if it is well formed, tells something about the real world that "
    "can be learnt from, and holds nothing harmful."
)
_LEVELS = tuple(str(number) for number in range(1, 11))
SURENESS = ("certain", "fairly sure", "doubtful", "guessing")
"""Four verbal levels of confidence, the highest first."""
_LONGEST, _SUMMARY_TOKENS, _FEW_WORDS, _ONE_WORD = 1_500, 80, 16, 8


def worth_training_on(example: Example, *, criterion: str = GOOD_TRAINING_TEXT) -> ChatRequest:
    """Ask whether a text is worth training on (Ask-LLM); the answer is yes or no."""
    return _about(
        example,
        f"You check texts before a model is trained on them. {criterion} {DATA}",
        "Is the text between the quotes worth training on? Answer yes or no.",
    )


def suits_task(example: Example, *, task: Task) -> ChatRequest:
    """Ask whether a text is suitable training data for a task (ActivePrune); yes or no."""
    return _about(
        example,
        f"You check training data for this task: {describe(task)}\n{DATA}",
        "Is this text suitable training data for the task? Answer yes or no.",
    )


def difficulty(example: Example) -> ChatRequest:
    """Ask how hard a text is to summarise, from 1 to 10 (LDCAL)."""
    system = (
        "You rate how hard a text is to summarise well, from 1 (easy) to 10 (very hard). It is "
        "harder the longer it is, the more topics it has, the more it leaves unsaid, and the more "
        f"special terms it uses. Answer with one number only. {DATA}"
    )
    return ChatRequest(
        (Message("system", system), Message("user", f"Text: {quote(example, _LONGEST)}")),
        max_tokens=_ONE_WORD,
        choices=_LEVELS,
    )


def reason(example: Example, *, task: Task, heat: float, sample: int) -> ChatRequest:
    """Ask for a short reasoning and a final answer, as a sample (Active-Prompt)."""
    system = (
        f"{describe(task)}\nThink step by step in a few short sentences, all on one line. End with "
        f'"The answer is" and your answer. {DATA}'
    )
    return ChatRequest(
        (Message("system", system), Message("user", f"Text: {quote(example, _LONGEST)}")),
        max_tokens=256,
        temperature=heat,
        sample=sample,
    )


def answer_freely(
    example: Example, *, task: Task, shown: Sequence[Demonstration] = ()
) -> ChatRequest:
    """Ask for the task's answer in the model's own few words, with no list of choices to force."""
    system = f"{describe(task)}\nAnswer in a few words, on one line, and add nothing. {DATA}"
    turns = [Message("system", system)]
    for demonstration in shown:
        turns.append(
            Message("user", f"Text: {quote(demonstration.example, LONGEST_DEMONSTRATION)}")
        )
        turns.append(Message("assistant", name_of(demonstration.answer)))
    turns.append(Message("user", f"Text: {quote(example, _LONGEST)}"))
    return ChatRequest(tuple(turns), max_tokens=_FEW_WORDS)


def read_answer(asked: ChatRequest, answer: str) -> ChatRequest:
    """Ask how likely each token of an answer is after the question it was given to."""
    turns = (*asked.messages, Message("assistant", answer))
    return ChatRequest(turns, max_tokens=0, look="input")


def grade_own_answer(example: Example, answer: str, *, task: Task) -> ChatRequest:
    """Ask how sure the model is of an answer of its own, in one of four words (Active-Prompt)."""
    system = (
        f"{describe(task)}\nYou are shown a text and an answer to it. Say how sure one can be that "
        f"the answer is right: {', '.join(SURENESS)}. {DATA}"
    )
    user = f"Text: {quote(example, _LONGEST)}\nProposed: {answer[:200]}"
    return ChatRequest(
        (Message("system", system), Message("user", user)), _ONE_WORD, choices=SURENESS
    )


def summarise(example: Example) -> ChatRequest:
    """Ask for a summary of one or two sentences (HADAS)."""
    system = f"Summarise the text in one or two sentences, using only what it says. {DATA}"
    return ChatRequest(
        (Message("system", system), Message("user", f"Text: {quote(example, 4 * _LONGEST)}")),
        max_tokens=_SUMMARY_TOKENS,
    )


def describe(task: Task) -> str:
    """Say what a task is, in the words of its guidelines, with its labels if it has any."""
    what = task.instructions or f"{task.name} ({task.kind})"
    names = ", ".join(task.names)
    return f"{what} Labels: {names}." if names else what


def _about(example: Example, system: str, question: str) -> ChatRequest:
    user = f"Text: {quote(example, _LONGEST)}\n{question}"
    return ChatRequest((Message("system", system), Message("user", user)), _ONE_WORD)
