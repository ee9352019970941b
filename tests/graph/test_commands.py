"""What people tell a running loop, and what comes of it."""

import asyncio
import json
from dataclasses import replace

import pytest
from tests_graph_support import LABELS, gold_texts, weak_annotator

from querist.graph.round.model_files import current_model
from querist.graph.supervision.guidelines import guidelines_under
from querist.memory.answers import Choice, name_of
from querist.memory.asking.inbox import Inbox
from querist.memory.run.mailbox import Mailbox
from querist.tools.kinds import find_kind

GOLD = gold_texts()


def drive(run, listener=None, **options):
    return asyncio.run(run.drive(listener, **options))


def after_round(run, number, *commands):
    """Post commands when a round is done; each is a name with its arguments."""

    def listen(event):
        if event.kind == "round" and event.data["round"] == number and not posted:
            for name, arguments in commands:
                run.post(name, who="ann", **arguments)
            posted.append(True)

    posted = []
    return listen


def results(run):
    return [(said.status, said.result) for said in run.view().mailbox.all()]


def labels_of(run):
    return {label.example: label for label in run.view().labelling.labels()}


def any_label(names):
    """Answer with whatever labels the request has, the weak annotator's where it knows them."""

    def reply(request):
        if request.choices == LABELS:
            return weak_annotator(request)
        said = weak_annotator(request)
        known = {name: said.get(names.get(name, name), 0.05) for name in request.choices}
        total = sum(known.values())
        return {name: chance / total for name, chance in known.items()}

    return reply


# ---------------------------------------------------------------- guidelines


def test_each_annotation_tells_under_which_guidelines_it_was_made(scripted):
    run, model = scripted(task={"instructions": "Label it."})
    drive(
        run,
        after_round(
            run,
            0,
            ("guideline", {"text": "Water is plumbing."}),
            ("guideline", {"text": "Music is noise."}),
            ("guideline", {"remove": 1}),
        ),
    )
    view = run.view()
    said = view.labelling.annotations()
    assert {one.guideline for one in said if one.round == 0} == {1}
    later = {one.guideline for one in said if one.round > 0 and one.who.startswith("llm:")}
    assert later == {4}
    assert guidelines_under(view.config, 1) == ()
    assert guidelines_under(view.config, 3) == ((1, "Water is plumbing."), (2, "Music is noise."))
    assert guidelines_under(view.config, 4) == ((2, "Music is noise."),)
    system = model.calls[-1].messages[0].content
    assert "Label it.\nMusic is noise." in system
    assert "Water is plumbing." not in system
    first = view.config.task.guidelines[0]
    assert (first.who, first.since, first.until) == ("ann", 2, 4)
    assert all(status == "done" for status, _ in results(run))


def test_a_guideline_that_is_not_there_cannot_be_taken_back(scripted):
    run, _ = scripted()
    drive(run, after_round(run, 0, ("guideline", {"remove": 3}), ("guideline", {"text": " "})))
    assert [status for status, _ in results(run)] == ["refused", "refused"]
    assert "there is no guideline 3" in results(run)[0][1]


# ---------------------------------------------------------------- annotated anew


def test_labels_of_a_class_are_annotated_anew_under_the_newest_guidelines(scripted):
    run, _ = scripted(loop={"rounds": 4})
    before = {}

    def listen(event):
        post(event)
        if event.kind == "command" and event.data["name"] == "relabel":
            before["aside"] = set(run.view().labelling.aside())
            before["people"] = {
                name: label for name, label in labels_of(run).items() if label.source == "human"
            }

    guideline = ("guideline", {"text": "Water is plumbing."})
    post = after_round(run, 1, guideline, ("relabel", {"label": "plumbing"}))
    assert drive(run, listen).status == "finished"
    status, words = results(run)[1]
    assert status == "done"
    count = len(before["aside"])
    assert count
    assert f"{count} label" in words
    assert "of *plumbing*" in words
    assert "annotated anew in round 2, under version 2 of the guidelines" in words
    view = run.view()
    batch = [item.example for item in view.labelling.batch(2)]
    assert set(batch[:count]) == before["aside"]
    assert len(batch) <= view.config.loop.batch, "within the round's plan"
    assert view.labelling.aside() == []
    said = view.labelling.annotations(before["aside"])
    for example in before["aside"]:
        assert {1, 2} <= {one.guideline for one in said if one.example == example}
    now = labels_of(run)
    assert all(now[name].answer == label.answer for name, label in before["people"].items())


def test_peoples_labels_are_never_annotated_anew(scripted):
    run, _ = scripted()
    drive(run, after_round(run, 0, ("guideline", {"text": "x"})))
    people = [name for name, label in labels_of(run).items() if label.source == "human"]
    run.post("set", who="ann", key="loop.rounds", value=6)
    run.post("relabel", who="ann", examples=people[:2])
    run.post("relabel", who="ann", examples=["nobody"])
    run.post("relabel", who="ann")
    drive(run)
    refused = results(run)[-3:]
    assert [status for status, _ in refused] == ["refused"] * 3
    assert "2 labelled by people stay" in refused[0][1]
    assert "there is no example 'nobody'" in refused[1][1]


def test_nothing_is_put_aside_where_no_round_is_left(scripted):
    run, _ = scripted()
    drive(run)
    count = len(labels_of(run))
    run.post("relabel", who="ann", round=1)
    drive(run)
    status, words = results(run)[-1]
    assert status == "refused"
    assert "more rounds first" in words
    assert len(labels_of(run)) == count


def test_a_stop_lets_what_was_put_aside_wait(scripted):
    run, _ = scripted(loop={"rounds": 6})
    post = after_round(run, 1, ("relabel", {"round": 1}))

    def listen(event):
        post(event)
        if event.kind == "selected" and event.data["round"] == 2:
            run.post("stop", who="ann")

    drive(run, listen)
    assert run.view().labelling.aside()


# ---------------------------------------------------------------- labels


def test_a_renamed_label_is_called_so_everywhere(scripted):
    reply = any_label({"water": "plumbing"})
    run, model = scripted(reply=reply, loop={"rounds": 4})
    rename = ("label_rename", {"old": "plumbing", "new": "water"})
    assert drive(run, after_round(run, 1, rename)).status == "finished"
    status, words = results(run)[0]
    assert status == "done", words
    view = run.view()
    names = {name_of(label.answer) for label in view.labelling.labels()}
    assert "plumbing" not in names
    assert "water" in names
    assert any("water" in call.choices for call in model.calls)
    said = [one for one in view.labelling.annotations() if one.round == 0 and one.probabilities]
    assert all("plumbing" not in one.probabilities for one in said)
    golds = {name_of(example.gold) for example in view.pool.first(100)}
    assert "water" in golds
    assert "plumbing" not in golds
    done = {row.number: row for row in view.journal.rounds()}
    assert "water" in done[1].detail["classes"], "measured anew under the new name"
    assert done[3].detail["test"] > 1 / len(LABELS)
    assert done[3].metric is not None


def test_the_metric_of_a_renamed_label_set_is_what_it_was(scripted):
    plain, _ = scripted("plain")
    drive(plain)
    run, _ = scripted("renamed", reply=any_label({"water": "plumbing"}))
    drive(run)
    run.post("label_rename", who="ann", old="plumbing", new="water")
    drive(run)
    tests = [one.view().journal.rounds()[-1].detail["test"] for one in (plain, run)]
    assert tests[0] == tests[1]


def test_merged_labels_are_one_and_the_model_is_retrained(scripted):
    names = {"repairs": "plumbing"}
    run, _ = scripted(reply=any_label(names), loop={"rounds": 4}, people={"error_rate": 0})
    merge = ("label_merge", {"old": ["plumbing", "heating", "electrical"], "into": "repairs"})
    assert drive(run, after_round(run, 1, merge)).status == "finished"
    status, words = results(run)[0]
    assert status == "done", words
    view = run.view()
    assert view.task.names == ("repairs", "access", "noise", "billing")
    head = current_model(view.files)
    assert head.predict_proba(view.view.vectors[:3]).shape == (3, 4)
    people = [label for label in view.labelling.labels() if label.source == "human"]
    examples = view.view.get([label.example for label in people])
    for label, example in zip(people, examples, strict=True):
        gold = GOLD[example.text]
        wanted = "repairs" if gold in ("plumbing", "heating", "electrical") else gold
        assert name_of(label.answer) == wanted
    done = view.journal.rounds()
    assert set(done[1].detail["classes"]) == set(view.task.names)
    assert done[-1].detail["test"] is not None


def test_an_added_label_can_be_given(scripted):
    def reply(request):
        said = weak_annotator(request)
        if "other" not in request.choices:
            return said
        # What it called noise is none of the labels, it finds.
        best = max(said, key=said.get)
        best = "other" if best == "noise" else best
        return {name: 0.88 if name == best else 0.02 for name in request.choices}

    run, model = scripted(reply=reply, people={"kind": "none"}, loop={"rounds": 3})
    add = ("label_add", {"name": "other", "description": "none of these"})
    assert drive(run, after_round(run, 0, add)).status == "finished"
    assert results(run)[0][0] == "done", results(run)
    assert any("none of these" in call.messages[0].content for call in model.calls)
    assert "other" in {name_of(label.answer) for label in run.view().labelling.labels()}
    head = current_model(run.view().files)
    assert head.predict_proba(run.view().view.vectors[:1]).shape == (1, 7)


def test_open_and_answered_questions_follow_the_labels(scripted):
    run, _ = scripted(people={"kind": "inbox"}, budget={"usd": "3"})
    assert drive(run).status == "waiting"
    inbox = Inbox(run.store, run.id)
    open_ = inbox.all(status="open")
    of = {question.id: GOLD[question.payload.fields["text"]] for question in open_}
    early = next(name for name, label in of.items() if label == "plumbing")
    inbox.answer(early, Choice("plumbing"), who="ann")
    late = next(name for name, label in of.items() if label == "plumbing" and name != early)
    run.post("label_rename", who="ann", old="plumbing", new="water")
    run.post("label_add", who="ann", name="other")
    drive(run)
    assert [status for status, _ in results(run)] == ["done", "done"]
    question = inbox.get(late)
    names = [option.name for option in question.payload.options]
    assert names == list(question.answer_schema["enum"])
    assert "other" in names
    assert "plumbing" not in names
    # One that was on a screen since before, answered by the old name.
    assert inbox.answer(late, Choice("plumbing"), who="ann").answer == Choice("water")
    drive(run)
    label = labels_of(run)[inbox.get(early).example]
    assert label.answer == Choice("water")


def test_names_with_a_past_are_not_given_again(scripted):
    run, _ = scripted()
    drive(run)
    run.post("label_rename", who="ann", old="plumbing", new="water")
    run.post("label_add", who="ann", name="plumbing")
    run.post("label_rename", who="ann", old="heating", new="water")
    run.post("label_merge", who="ann", old=[*LABELS[1:], "water"], into="all")
    run.post("label_rename", who="ann", old="nosuch", new="x")
    run.post("label_rename", who="ann", old="water", new="plumbing")
    drive(run)
    assert [status for status, _ in results(run)] == ["done", *["refused"] * 4, "done"]
    assert "answers are stored under it" in results(run)[1][1]
    assert "two must be left" in results(run)[3][1]
    assert run.view().task.names == LABELS


# ---------------------------------------------------------------- asking


def test_an_item_is_put_to_people_whatever_the_verifier_thought(scripted):
    run, _ = scripted(people={"kind": "inbox"}, budget={"usd": "3"})
    drive(run)
    view = run.view()
    inbox = Inbox(run.store, run.id)
    asked = {question.example for question in inbox.all()}
    item = next(name for name in view.view.ids if name not in asked)
    run.post("ask", who="ann", examples=[item])
    run.post("ask", who="ann", examples=[item])
    run.post("ask", who="ann", examples=["nobody"])
    drive(run)
    said = results(run)
    assert [status for status, _ in said] == ["done", "refused", "refused"]
    assert "is in the inbox already" in said[1][1]
    first = inbox.claim("bob")[0]
    assert (first.example, first.reason) == (item, "ann wants it asked")
    assert view.ledger.balance().reserved > 0
    inbox.answer(first.id, Choice("noise"), who="bob")
    drive(run)
    assert labels_of(run)[item].answer == Choice("noise")
    run.post("ask", who="ann", examples=[item])
    drive(run)
    assert "bob answered noise" in results(run)[-1][1]


def test_nobody_is_asked_where_nobody_answers(scripted):
    run, _ = scripted(people={"kind": "none"})
    drive(run)
    item = run.view().view.ids[0]
    run.post("ask", who="ann", examples=[item])
    drive(run)
    status, words = results(run)[-1]
    assert status == "refused"
    assert "people.kind" in words


def test_a_command_is_found_by_its_token(scripted):
    run, _ = scripted()
    box = Mailbox(run.store, run.id)
    box.post("pause", who="ann", token="t1")
    assert box.find("t1").status == "queued"
    assert box.find("t2") is None


def test_a_change_of_labels_that_was_made_is_made_again_without_harm(scripted):
    run, _ = scripted()
    drive(run)
    for _ in range(2):
        run.post("label_add", who="ann", name="other", description="none of these")
        run.post("label_merge", who="ann", old=["noise", "other"], into="noise")
        run.post("label_rename", who="ann", old="access", new="keys")
    run.post("set", who="ann", key="task", value={"labels": {"a": "", "b": ""}})
    drive(run)
    said = [status for status, _ in results(run)]
    assert said == ["done"] * 3 + ["refused", "done", "done", "refused"]
    assert "is called" not in results(run)[3][1]
    assert run.view().task.names == (
        "plumbing", "heating", "electrical", "keys", "noise", "billing",
    )  # fmt: skip


def test_what_a_person_labelled_meanwhile_is_not_annotated_anew(scripted):
    run, _ = scripted()
    drive(run)
    machine = [label for label in labels_of(run).values() if label.source == "llm"][:2]

    async def change():
        async with run.borrowed() as context:
            labelling = context.labelling
            labelling.put_aside([label.example for label in machine], command=9, who="ann")
            assert set(labelling.aside()) == {label.example for label in machine}
            labelling.relabel([replace(machine[0], source="human", who="human:bob")])
            return labelling.aside()

    assert asyncio.run(change()) == [machine[1].example]
    assert machine[1].example not in labels_of(run)


@pytest.mark.parametrize(
    ("kind", "old", "said"),
    [
        ("preference", "tie", "given by its kind"),
        ("matching", "match", "knows 'match' by its name"),
        ("matching", "no_match", ""),
    ],
)
def test_labels_that_a_kind_knows_by_name_keep_it(scripted, tmp_path, kind, old, said):
    names = [label.name for label in find_kind(kind).labels][::-1]
    rows = [{"left": f"a {i}", "right": f"b {i}", "label": names[i % 2]} for i in range(40)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run, _ = scripted(
        reply=lambda request: {name: 1 / len(request.choices) for name in request.choices},
        task={"kind": kind, "labels": dict.fromkeys(names, "")},
        data={"pool": str(tmp_path / "pairs.jsonl"), "test": None, "text": ["left", "right"]},
        loop={"rounds": 1, "batch": 12},
    )
    drive(run)
    run.post("label_rename", who="ann", old=old, new="another")
    drive(run)
    status, words = results(run)[0]
    assert status == ("refused" if said else "done")
    assert said in words
