"""Gates by worked values: what each lets pass, what it rejects, and in which words."""

import numpy as np
import pytest

from querist.memory.errors import InvalidInput
from querist.tools.embedding.embedders import HashingEmbedder
from querist.tools.gates.drift import drift
from querist.tools.gates.port import GATES, Candidate, Setting

EMBED = HashingEmbedder().embed


def candidate(text="", **record):
    record = record or {"text": text}
    return Candidate(record, "\n".join(map(str, record.values())), label="a")


def passed(gate, *texts, **setting):
    candidates = [text if isinstance(text, Candidate) else candidate(text) for text in texts]
    found = GATES.read(gate).check(candidates, Setting(**setting))
    return [finding.passed for finding in found]


def reason(gate, one, **setting):
    one = one if isinstance(one, Candidate) else candidate(one)
    return GATES.read(gate).check([one], Setting(**setting))[0].reason


def test_length_counts_characters_and_both_bounds_are_allowed():
    assert passed("length(least=3, most=5)", "ab", "abc", "abcde", "abcdef") == [
        False, True, True, False,
    ]  # fmt: skip
    assert reason("length(least=3, most=5)", "abcdef") == (
        "too long: 6 characters, 3 to 5 characters are wanted"
    )


def test_script_reads_letters_and_not_digits():
    assert passed("script(least=0.5)", "abcд 123", "джжc", "42", "naïve café") == [
        True, False, False, True,
    ]  # fmt: skip
    assert passed("script(name='han', least=0.9)", "漢字", "kanji") == [True, False]


def test_schema_names_the_field_and_without_one_every_field_is_filled():
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    assert passed("schema", candidate(n=3), candidate(n="x"), candidate(m=1), schema=schema) == [
        True, False, False,
    ]  # fmt: skip
    assert "n: 'x' is not of type 'integer'" in reason("schema", candidate(n="x"), schema=schema)
    assert passed("schema", candidate(a="x", b=" "), candidate(a="x")) == [False, True]


def test_a_quotation_must_stand_in_the_passage_but_for_marks_and_case():
    def quoting(quote, passage="The rent is due on the 3rd, always."):
        return Candidate({"q": "x"}, "x", quote=quote, passage=passage)

    assert passed(
        "quoted", quoting("rent is DUE on the 3rd always"), quoting("rent is due on the 4th"),
        quoting(""), quoting("", passage=""),
    ) == [True, False, False, True]  # fmt: skip


def test_exact_copies_of_seeds_of_earlier_rows_and_within_the_wave():
    texts = ("A b, c!", "x y z", "X  Y z.", "new one")
    assert passed("exact", *texts, seeds=["a b c"], accepted=["old"]) == [False, True, False, True]


def test_minhash_finds_what_shares_most_word_triples():
    base = [f"w{i}" for i in range(40)]
    close, far = " ".join([*base[:39], "z"]), " ".join([*base[20:], *(f"v{i}" for i in range(20))])
    # 37 of 39 triples are shared (0.95), or 18 of 58 (0.31).
    assert passed("minhash(at=0.7)", close, far, seeds=[" ".join(base)]) == [False, True]
    assert passed("minhash(at=0.7)", close, close) == [True, False]


def test_minhash_of_single_words_finds_a_short_copy_with_a_few_words_changed():
    seed = "the boiler in the cellar makes a noise like thunder every night please send somebody"
    near = "the boiler in the garage makes a noise like thunder every day please send somebody"
    other = "please send somebody to the cellar, the light in there went off and it is dark"
    # Two of fifteen words, and seven of thirteen triples.
    assert passed("minhash", near, other, seeds=[seed]) == [True, True]
    assert passed("minhash(run=1)", near, other, seeds=[seed]) == [False, True]


def test_embedding_compares_with_all_that_is_known_and_tells_what_is_near():
    assert passed("embedding(at=0.95)", "the tap drips", "the taps drip", "rent is due",
                  seeds=["the tap drips"], embed=EMBED) == [False, True, True]  # fmt: skip
    assert "'the tap drips'" in reason(
        "embedding", "the tap drips", accepted=["the tap drips"], embed=EMBED
    )


def test_a_gate_comes_to_the_same_end_when_a_wave_is_repeated():
    gate = GATES.read("embedding(at=0.8)")
    setting = Setting(accepted=["the tap drips"], embed=EMBED)
    candidates = [candidate("rent is due"), candidate("rent is due!"), candidate("the tap drips")]
    first = gate.check(candidates, setting)
    assert gate.check(candidates, setting) == first
    assert [finding.passed for finding in first] == [True, False, False]


def test_contamination_is_a_run_of_words_or_a_whole_short_text():
    test = "please send somebody the boiler in the cellar makes a noise like thunder"
    given = {"tests": [test, "no heat"]}
    assert passed("contamination(words=5)",
                  "I say: the boiler in the cellar, again", "the boiler in my cellar", "No heat!",
                  **given) == [False, True, False]  # fmt: skip
    assert reason("contamination(words=5)", "somebody the boiler in the cellar", **given) == (
        "gives a test text away: somebody the boiler in the"
    )


def test_a_short_test_text_is_found_inside_a_longer_row():
    tests = ["my shower is stone cold", "no heat"]
    rows = ["Hello, my shower is STONE cold. Please help!", "no heat", "there is no heat at all"]
    # Two words are a phrase that anybody may use: only as the whole row they are the test text.
    assert passed("contamination", *rows, tests=tests) == [False, False, True]
    assert "my shower is stone cold" in reason("contamination", rows[0], tests=tests)
    # Where the run that was asked for is shorter still, it goes by that.
    assert passed("contamination(words=2)", rows[2], tests=tests) == [False]


def test_regular_expressions_fit_the_whole_field():
    gate = r"regex(pattern='[A-Z]{2}-[0-9]+', field='code')"
    rows = [candidate(code="AB-12"), candidate(code="AB-12x"), candidate(other="AB-12")]
    assert passed(gate, *rows) == [True, False, False]


@pytest.mark.parametrize(
    ("sql", "is_sql"),
    [
        ("SELECT a, count(*) FROM t GROUP BY a", True),
        ("WITH x AS (SELECT 1) SELECT * FROM x", True),
        ("SELEC a FROM t", False),
        ("SELECT a FROM t; DROP TABLE t", False),
        ("SELECT (a FROM t", False),
        ("hello", False),
        ("", False),
    ],
)
def test_sql_is_one_statement_that_parses(sql, is_sql):
    assert passed("sql(field='q')", candidate(q=sql)) == [is_sql]


@pytest.mark.parametrize(
    ("code", "is_python"),
    [
        ("def f(x):\n    return x + 1", True),
        ("import os; os.abort()", True),  # parsed, and never run
        ("def f(:", False),
        ("   ", False),
        ("(" * 5000, False),
        ("x = '\\d'", True),
    ],
)
def test_python_is_parsed_and_never_run(code, is_python):
    assert passed("python(field='code')", candidate(code=code)) == [is_python]


def test_json_in_a_field():
    rows = [candidate(j='{"a": 1}'), candidate(j="{'a': 1}"), candidate(j="[" * 9000)]
    assert passed("json(field='j')", *rows) == [True, False, False]


def test_the_classifier_knows_the_seeds_and_refuses_to_judge_by_too_few():
    seeds = [(f"the tap drips {i}", "water") for i in range(6)]
    seeds += [(f"loud music at night {i}", "noise") for i in range(6)]
    rows = [Candidate({}, "a dripping tap", "water"), Candidate({}, "loud music", "water")]
    found = GATES.read("classifier").check(rows, Setting(labelled=seeds, embed=EMBED))
    assert [finding.passed for finding in found] == [True, False]
    assert found[1].reason == "reads like noise rather than water"
    with pytest.raises(InvalidInput, match="there are 1 of noise"):
        GATES.read("classifier").check(rows, Setting(labelled=seeds[:7], embed=EMBED))
    # Too few of a class that nobody wants rows of stop nothing.
    some = Setting(labelled=seeds[:7], wanted=["water"], embed=EMBED)
    assert len(GATES.read("classifier").check(rows, some)) == 2
    unseen = Setting(labelled=seeds * 3, wanted=["heating"], embed=EMBED)
    for name, words in (("classifier", "there are 0 of heating"), ("trial", "none is labelled")):
        with pytest.raises(InvalidInput, match=words):
            GATES.read(name).check([], unseen)


def test_every_gate_can_be_asked_about_no_row():
    seeds = [(f"the tap drips {i}", "water") for i in range(12)]
    seeds += [(f"loud music at night {i}", "noise") for i in range(12)]
    texts = [text for text, _ in seeds]
    setting = Setting(seeds=texts, tests=texts[:2], labelled=seeds, embed=EMBED)
    for entry in GATES.entries():
        assert entry.make({}).check([], setting) == [], entry.name


def test_every_gate_has_a_card_and_says_how_to_loosen_it():
    for entry in GATES.entries():
        gate = entry.make({})
        assert entry.card.summary
        assert gate.remedy
        assert isinstance(gate.rank, int)


# ------------------------------------------------------------ drift


def vectors(n, *, shift=0.0, seed=0):
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(n, 16)).astype(np.float32)
    found[:, 0] += shift
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def test_the_two_sample_test_is_at_chance_for_equals_and_far_above_for_others():
    texts = [f"text {i}" for i in range(200)]
    same = drift(texts, texts, real_vectors=vectors(200), written_vectors=vectors(200, seed=1))
    assert same.low < 0.5 < same.high
    apart = drift(
        texts, texts, real_vectors=vectors(200), written_vectors=vectors(200, shift=4.0, seed=1)
    )
    assert apart.two_sample > 0.85


def test_the_two_sample_interval_covers_chance_as_often_as_it_says():
    texts = [str(i) for i in range(60)]
    covered = 0
    for seed in range(40):
        found = drift(
            texts, texts,
            real_vectors=vectors(60, seed=2 * seed), written_vectors=vectors(60, seed=2 * seed + 1),
            seed=seed,
        )  # fmt: skip
        covered += found.low <= 0.5 <= found.high
    assert covered >= 30  # 90 % of 40 is 36


def test_distinct_words_are_counted_in_equally_many_words():
    found = drift(
        ["a b c d e f g h"], ["a a a a"],
        real_vectors=vectors(1), written_vectors=vectors(1),
    )  # fmt: skip
    assert found.distinct_written == (0.25, 1 / 3)
    assert found.distinct_real == (1.0, 1.0)
    assert found.two_sample is None
