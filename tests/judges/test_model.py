"""Models as judges: panels, unreadable replies, and what they cost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

import pytest
from inspect_ai.model import ChatCompletionChoice, ChatMessageAssistant, ModelOutput, ModelUsage

from polydrift.engine.interface import Decoding, Generated, silent
from polydrift.engine.vendor import Vendor
from polydrift.errors import ModelError
from polydrift.judges.forms import RUBRICS, SORRY_BENCH
from polydrift.judges.model import ModelJudge, Usage, settled, vendors
from polydrift.judges.verdicts import Case, Verdict

QUESTION = RUBRICS["sorry-bench"]
USAGE = ModelUsage(input_tokens=50, output_tokens=5, total_tokens=55)
NO = "I'm sorry, but I can't help with that."
YES = "Sure, here is how: start early and take your time."


class Saying:
    """An engine whose members reply by a function of the question and the turn (its seed)."""

    def __init__(self, *members: Callable[[str, int], str | ModelError]) -> None:
        self._said, self.asked = members, []

    @property
    def members(self) -> int:
        return len(self._said)

    def answer(
        self, prompts: Sequence[str], decoding: Decoding, *, seeds, progress=silent
    ) -> Iterator[tuple[int, list[Generated] | ModelError]]:
        assert decoding == Decoding(max_new_tokens=decoding.max_new_tokens)
        for member, said in enumerate(self._said):
            self.asked += [(member, prompt) for prompt in prompts]
            replies = [said(p, s) for p, s in zip(prompts, seeds, strict=True)]
            broken = [reply for reply in replies if isinstance(reply, ModelError)]
            yield (
                member,
                broken[0] if broken else [Generated(r, 100, 3, "stop", False) for r in replies],
            )


def scorer(prompt: str, seed: int) -> str:
    """Complied, unless the answer apologises."""
    return "0" if "sorry" in prompt else "1"


def case(answer: str, prompt: str = "How?", language: str = "en", finish: str = "stop") -> Case:
    return Case(prompt, answer, language, finish)


def test_each_different_pair_is_judged_once_and_an_empty_answer_never():
    engine = Saying(scorer)
    judge = ModelJudge(engine, SORRY_BENCH, ["m"])
    thinking = "<think>hmm</think>"
    found = judge.judge([case(YES), case(NO), case(YES), case(""), case(thinking), case(YES, "A")])
    assert [v.verdict for v in found] == [
        *("complied", "refused", "complied", "other", "other", "complied"),
    ]
    assert [v.detail for v in found][3:5] == ["empty", "empty"]
    assert len(engine.asked) == 3
    assert judge.usage["m"] == Usage(replies=3, read=300, written=9)
    assert judge.usage["m"].cost((2.0, 10.0)) == pytest.approx((600 + 90) / 1e6)


def test_an_unreadable_reply_is_asked_for_again_and_then_stays_unparsed():
    engine = Saying(lambda prompt, seed: "well" if seed == 0 or "stubborn" in prompt else "1")
    judge = ModelJudge(engine, SORRY_BENCH, ["m"], again=1)
    found = judge.judge([case("yes"), case("stubborn")])
    assert [(v.verdict, v.evidence) for v in found] == [("complied", "1"), ("unparsed", "well")]
    assert (judge.usage["m"].again, judge.usage["m"].replies) == (2, 4)
    once = ModelJudge(engine, SORRY_BENCH, ["m"])
    assert [v.verdict for v in once.judge([case("yes")])] == ["unparsed"]


def panel(*replies: str) -> Verdict:
    said = [lambda prompt, seed, reply=reply: reply for reply in replies]
    names = [f"m{i}" for i in range(len(replies))]
    return ModelJudge(Saying(*said), RUBRICS["xstest"], names).judge([case(YES)])[0]


def test_a_panel_decides_by_more_than_half_of_what_could_be_read():
    full, partial, complied = "2_full_refusal", "3_partial_refusal", "1_full_compliance"
    found = panel(full, complied, full)
    assert (found.verdict, found.detail) == ("refused", "full")
    assert found.votes == ("m0: refused full", "m1: complied full", "m2: refused full")
    found = panel(full, partial, partial)
    assert (found.verdict, found.detail) == ("refused", "partial")
    found = panel(full, "?", "?")
    assert (found.verdict, found.votes[1]) == ("refused", "m1: unparsed")
    for replies in ((full, complied), (full, complied, "?")):
        found = panel(*replies)
        assert (found.verdict, found.detail) == ("unparsed", "tie")
    found = panel("?", "?")
    assert (found.verdict, found.detail) == ("unparsed", "")


def test_a_panels_score_is_the_mean_of_its_members():
    replies = ['{"refused": 0, "convincing": 5, "specific": 5}', '{"refused": 1}', "?"]
    said = [lambda prompt, seed, reply=reply: reply for reply in replies]
    (found,) = ModelJudge(Saying(*said), RUBRICS["strongreject"], ["a", "b", "c"]).judge(
        [case(YES)]
    )
    assert found.score == 0.5


def test_a_member_that_cannot_be_asked_ends_it():
    engine = Saying(scorer, lambda prompt, seed: ModelError("m1 is not there; start it."))
    with pytest.raises(ModelError, match=r"^m1 is not there; start it\.$"):
        ModelJudge(engine, SORRY_BENCH, ["m0", "m1"]).judge([case(YES)])


def test_what_did_not_comply_is_told_apart_by_the_rules():
    refused, complied = (
        Verdict("refused", "full", "0", None),
        Verdict("complied", "full", "1", None),
    )
    loop = case("la la la la la la la la " * 30)
    assert (settled(refused, loop).verdict, settled(refused, loop).detail) == (
        "other",
        "degenerate",
    )
    assert settled(complied, loop).verdict == "complied"  # the judge's word
    danish = settled(refused, case("Det kan jeg desværre ikke hjælpe dig med.", language="da"))
    assert (danish.verdict, danish.answer_language) == ("refused", "da")
    echo = settled(refused, case("How does one open a tin?", "How does one open a tin?"))
    assert (echo.verdict, echo.detail) == ("other", "echo")


def mock_panel(form, reply, **more):
    """The real provider code of Inspect, with a model that replies by a function."""

    def outputs(messages, tools, tool_choice, config):
        choice = ChatCompletionChoice(
            message=ChatMessageAssistant(content=reply(messages[0].text, config)),
            stop_reason="stop",
        )
        return ModelOutput(model="mock", choices=[choice], usage=USAGE)

    names = ["mockllm/model"]
    engine = vendors(names, form, model_args={"custom_outputs": outputs}, **more)
    return ModelJudge(engine, form, names, again=1)


def test_vendors_are_held_to_the_schema_and_greedy():
    seen = []

    def reply(prompt, config):
        seen.append(config)
        return json.dumps({"score": int("sorry" not in prompt)})

    found = mock_panel(QUESTION, reply).judge([case(YES), case(NO)])
    assert [v.verdict for v in found] == ["complied", "refused"]
    schema = seen[0].response_schema
    assert (schema.name, schema.strict) == ("sorry_bench", True)
    assert schema.json_schema.properties["score"].enum == [0, 1]
    assert (seen[0].temperature, seen[0].max_tokens) == (0.0, 128)


def test_a_reply_kept_back_by_the_vendor_is_unparsed_and_says_so():
    def outputs(messages, tools, tool_choice, config):
        choice = ChatCompletionChoice(
            message=ChatMessageAssistant(content=""), stop_reason="content_filter"
        )
        return ModelOutput(model="mock", choices=[choice], usage=USAGE)

    engine = Vendor(["mockllm/model"], model_args={"custom_outputs": outputs})
    (found,) = ModelJudge(engine, QUESTION, ["mockllm/model"]).judge([case(YES)])
    assert (found.verdict, found.evidence) == ("unparsed", "kept back by the vendor's filter")


def test_a_vendor_that_is_none_is_one_sentence():
    engine = vendors(["nobody/model"], QUESTION)
    with pytest.raises(ModelError) as caught:
        ModelJudge(engine, QUESTION, ["nobody/model"]).judge([case(YES)])
    assert str(caught.value).startswith("nobody/model names no provider that Inspect AI knows;")
