"""A vendor's model as a translator, with Inspect AI's mock provider."""

from __future__ import annotations

import pytest
from inspect_ai.model import ChatCompletionChoice, ChatMessageAssistant, ModelOutput, ModelUsage

from polydrift.errors import DataError, ModelError
from polydrift.languages import LANGUAGES
from polydrift.specimens.lexicon import load
from polydrift.translate.back import Translation, to_english
from polydrift.translate.vendor import REQUEST, VendorTranslator

DANISH = "Bland mel og sukker."
USAGE = ModelUsage(input_tokens=12, output_tokens=4, total_tokens=16)  # else it is counted online
REFUSAL = "I'm sorry, but I can't help with that."


def said(text, finish="stop"):
    choice = ChatCompletionChoice(message=ChatMessageAssistant(content=text), stop_reason=finish)
    return ModelOutput(model="mock", choices=[choice], usage=USAGE)


def mock(reply, **more):
    """A translator whose model answers with `reply(sentence, config)`."""

    def outputs(messages, tools, tool_choice, config):
        asked = messages[0].text
        return reply(asked.rpartition("<sentence>")[2].removesuffix("</sentence>"), config)

    return VendorTranslator("mockllm/model", model_args={"custom_outputs": outputs}, **more)


def test_each_sentence_is_a_request_at_temperature_0():
    seen = []

    def outputs(messages, tools, tool_choice, config):
        seen.append((messages[0].text, config.temperature, config.max_tokens, config.seed))
        return said("Mix flour.")

    translator = VendorTranslator("mockllm/model", model_args={"custom_outputs": outputs})
    assert translator.translate([DANISH, " "], "da") == ["Mix flour.", ""]
    assert seen == [(REQUEST.format(language="Danish", sentence=DANISH), 0.0, 512, 0)]


def test_translations_come_in_order_without_thinking():
    translator = mock(lambda sentence, _: said(f"<think>hm</think> {sentence.upper()}\n"))
    told = []
    texts = [f"nr. {i}" for i in range(20)]
    found = translator.translate(texts, "da", lambda *what: told.append(what))
    assert found == [text.upper() for text in texts]
    assert told[-1] == (1.0, "20 of 20 answers")


@pytest.mark.parametrize(
    "reply",
    [
        said(""),
        said("<think>endless"),
        said("Mix fl", "max_tokens"),
        said("", "content_filter"),
        said(REFUSAL),
    ],
)
def test_what_is_no_translation_is_none(reply):
    translator = mock(lambda *_: reply)
    assert translator.translate([DANISH], "da") == [""]
    assert to_english([DANISH], ["da"], translator) == [
        Translation(DANISH, "da", ("untranslated",), 1)
    ]


@pytest.mark.parametrize("code", [code for code in LANGUAGES if code != "en"])
def test_a_translated_refusal_is_a_translation(code):
    lexicon, english = load(code), load("en")
    pairs = dict(zip(lexicon.refusals, english.refusals, strict=True))
    translator = mock(lambda sentence, _: said(pairs[sentence]))
    assert translator.translate(lexicon.refusals, code) == list(english.refusals)


def failing(kinds):
    """A translator whose vendor answers sentences named in `kinds` with that HTTP status."""

    class StatusError(Exception):
        def __init__(self, status):
            super().__init__("no")
            self.status_code = status

    def reply(sentence, config):
        if sentence in kinds:
            raise StatusError(kinds[sentence])
        return said(sentence.upper())

    return mock(reply, at_once=1, tries=1)


def test_a_sentence_that_is_refused_costs_no_other():
    told = []
    translator = failing({"b": 400})
    assert translator.translate(["a", "b", " ", "c"], "da", lambda *what: told.append(what)) == [
        *("A", "", "", "C")
    ]
    assert told[-1] == (1.0, "4 of 4 answers")


def test_a_vendor_that_fails_is_an_error():
    with pytest.raises(ModelError) as caught:
        failing({"a": 503}).translate(["a", "b", "c"], "da")
    assert str(caught.value) == (
        "mockllm/model fails (HTTP 503: no), tried 1 times; see the log of that server, or try "
        "again later."
    )


def test_errors_come_through():
    with pytest.raises(ModelError, match="nonsense/model names no provider that Inspect AI knows"):
        VendorTranslator("nonsense/model").translate([DANISH], "da")
    with pytest.raises(DataError, match="unknown language 'xx'"):
        mock(lambda *_: said("")).translate([DANISH], "xx")
