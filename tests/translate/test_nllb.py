"""NLLB by both backends, on tiny models with the real architecture, tokenizer and conversion."""

from __future__ import annotations

import json
import shutil
import sys

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, M2M100ForConditionalGeneration

from polydrift.errors import DataError, ModelError
from polydrift.languages import LANGUAGES
from polydrift.translate import weights
from polydrift.translate.back import to_english
from polydrift.translate.nllb import Nllb
from tests.engine.hub_server import hub
from tests.translate.conftest import CODES, PAIRS, TEXTS


@pytest.fixture(scope="module")
def fast(random_model, conversions):
    return Nllb(random_model, device="cpu", converted=conversions, compute_type="float32")


@pytest.fixture(scope="module")
def plain(random_model):
    return Nllb(random_model, device="cpu")


@pytest.fixture(scope="module", params=["ctranslate2", "transformers"])
def taught(request, taught_model, conversions):
    return Nllb(
        taught_model,
        device="cpu",
        backend=request.param,
        compute_type="float32",
        converted=conversions if request.param == "ctranslate2" else None,
    )


def sentences(code):
    return [text for language, text, _ in PAIRS if language == code]


def test_settings_say_what_was_chosen(fast, plain, random_model, conversions):
    assert fast.settings == {"backend": "ctranslate2", "compute_type": "float32", "beam": 1}
    assert plain.settings == {"backend": "transformers", "compute_type": "float32", "beam": 1}
    chosen = Nllb(random_model, converted=conversions, device="cpu", beam=2)
    assert chosen.settings == {"backend": "ctranslate2", "compute_type": "int8", "beam": 2}


@pytest.mark.parametrize("code", CODES)
def test_what_was_learnt_is_translated(taught, code):
    wanted = [english for language, _, english in PAIRS if language == code]
    assert taught.translate(sentences(code), code) == wanted


def test_whole_answers_are_translated(taught):
    texts = [f"1. {one}\n2. {two}\n```\n{three}\n```" for one, two, three in map(sentences, CODES)]
    one, two, _ = (english for language, _, english in PAIRS if language == "da")
    for text, code, found in zip(texts, CODES, to_english(texts, CODES, taught), strict=True):
        block = text[text.index("```") :]
        assert (found.text, found.source, found.sentences) == (
            f"1. {one}\n2. {two}\n{block}", code, 2,
        )  # fmt: skip


def test_int8_translates_what_was_learnt(taught_model, conversions):
    small = Nllb(taught_model, device="cpu", converted=conversions)
    right = [small.translate([text], code) == [english] for code, text, english in PAIRS]
    assert sum(right) >= len(PAIRS) - 2


@pytest.mark.parametrize("beam", [1, 3])
def test_both_backends_write_the_same(random_model, conversions, beam):
    one = Nllb(random_model, device="cpu", beam=beam, compute_type="float32", converted=conversions)
    two = Nllb(random_model, device="cpu", beam=beam)
    for code in CODES:
        texts = TEXTS[:40] if code == "da" else sentences(code)
        assert one.translate(texts, code) == two.translate(texts, code)


def test_a_random_model_shows_what_is_doubted(fast):
    texts = [text for code, text, _ in PAIRS if code in ("da", "el")]
    asked = [code for code, _, _ in PAIRS if code in ("da", "el")]
    found = to_english(texts, asked, fast)
    assert all(set(one.doubts) & {"repetition", "untranslated", "collapse"} for one in found)


@pytest.mark.parametrize("translator", ["fast", "plain"])
def test_a_batch_is_its_sentences_one_by_one(translator, request):
    translator = request.getfixturevalue(translator)
    texts = [*sentences("es"), "", " ", *TEXTS[5:15]]
    told = []
    together = translator.translate(texts, "es", lambda *what: told.append(what))
    assert together == [translator.translate([text], "es")[0] for text in texts]
    assert together[3:5] == ["", ""]
    assert told[-1] == (1.0, "13 of 13 sentences")
    translator._budget, kept = 30, translator._budget
    assert translator.translate(texts, "es") == together
    translator._budget = kept


def test_what_goes_in_is_what_the_tokenizer_writes(fast, plain, random_model, monkeypatch):
    """Language first, </s> last; the same ids as NllbTokenizer's, for every language."""
    coder = AutoTokenizer.from_pretrained(random_model)
    seen = []

    def run(rows, *_):
        seen.extend(rows)
        return [[] for _ in rows]

    for translator in (fast, plain):
        monkeypatch.setattr(translator._engine, "run", run)
        for code in CODES:
            coder.src_lang = LANGUAGES[code].nllb
            for text in sentences(code):
                seen.clear()
                translator.translate([text], code)
                assert seen == [coder(text).input_ids]
                assert coder.convert_ids_to_tokens(seen[0][0]) == LANGUAGES[code].nllb
                assert seen[0][-1] == coder.eos_token_id


def test_tokens_that_control_are_text_when_they_are_said(plain):
    ids = plain._tokenizer.encode("Hej </s> eng_Latn", add_special_tokens=False).ids
    assert not {plain._tokenizer.token_to_id(t) for t in ("</s>", "eng_Latn")} & set(ids)


@pytest.mark.parametrize("translator", ["fast", "plain"])
def test_nothing_is_cut_at_256_tokens(translator, request):
    translator = request.getfixturevalue(translator)
    long = " ".join(TEXTS[:60])[:1500]
    tokens = len(translator._tokenizer.encode(long, add_special_tokens=False).ids)
    assert 400 < tokens < 1000
    lengths = []
    run = translator._engine.run

    def watched(rows, *more):
        found = run(rows, *more)
        lengths.extend(map(len, found))
        return found

    translator._engine.run = watched
    whole, cut = (translator.translate([text], "da")[0] for text in (long, long[:400]))
    translator._engine.run = run
    assert max(lengths) > 256
    assert whole != cut


def test_long_input_is_cut_before_it_reaches_the_model_and_never_lost(taught):
    text = " ".join(["Beklager, men det kan jeg ikke hjælpe med"] * 80)
    found = to_english([text], ["da"], taught)[0]
    assert found.sentences > 5


def test_a_sentence_that_does_not_fit_is_an_error_and_not_a_loss(plain):
    with pytest.raises(ModelError) as error:
        plain.translate(["Hej.", "ord " * 1100], "da")
    assert str(error.value).startswith("sentence 2 of 2 has ")
    assert str(error.value).endswith(
        "reads at most 1024; cut it (polydrift.translate.sentences.cut)."
    )


def test_the_other_way_asks_for_the_other_language(fast, plain):
    """Both backends again; what the target is told by decides what a random model writes."""
    for translator in (fast, plain):
        found = {code: translator.from_english(TEXTS[:3], code) for code in CODES}
        assert len({tuple(texts) for texts in found.values()}) == len(CODES)
    assert fast.from_english(TEXTS[:9], "el") == plain.from_english(TEXTS[:9], "el")


def test_an_unknown_language_is_named(plain):
    with pytest.raises(DataError, match="unknown language 'xx': use one of en, zh"):
        plain.translate(["Hej."], "xx")


# Conversion.


def test_a_conversion_is_made_once_and_anew_when_the_model_changes(taught_model, tmp_path):
    place, kept = tmp_path / "model", tmp_path / "kept"
    shutil.copytree(taught_model, place)
    Nllb(place, device="cpu", converted=kept)
    (made,) = kept.iterdir()
    before = (made / "model.bin").stat().st_mtime_ns
    Nllb(place, device="cpu", converted=kept)
    assert (made / "model.bin").stat().st_mtime_ns == before
    assert [made] == list(kept.iterdir())
    Nllb(place, device="cpu", converted=kept, compute_type="float32")
    state = {k: v * 1.01 for k, v in load_file(place / "model.safetensors").items()}
    save_file(state, place / "model.safetensors", {"format": "pt"})
    Nllb(place, device="cpu", converted=kept)
    assert len(list(kept.iterdir())) == 3


def test_a_directory_that_ctranslate2_made_is_used_as_it_is(taught_model, tmp_path, conversions):
    converted = weights.conversion(taught_model, "taught", conversions, "float32")
    place = tmp_path / "ct2"
    shutil.copytree(converted, place)
    with pytest.raises(ModelError) as error:
        Nllb(place)
    assert str(error.value) == (
        f"{place} holds no tokenizer.json; copy it there from the model that was converted."
    )
    shutil.copy(taught_model / "tokenizer.json", place)
    code, text, english = PAIRS[0]
    assert Nllb(place, device="cpu").translate([text], code) == [english]
    with pytest.raises(ModelError) as error:
        Nllb(place, backend="transformers")
    assert str(error.value) == (
        f'{place} is in CTranslate2\'s format; leave `backend = "transformers"` out, or give the '
        "model that it was converted from."
    )


def test_a_conversion_of_something_else_is_named(taught_model, tmp_path):
    shutil.copy(taught_model / "tokenizer.json", tmp_path)
    (tmp_path / "model.bin").write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError) as error:
        Nllb(tmp_path, device="cpu")
    assert str(error.value).startswith(f"{tmp_path}: CTranslate2 cannot use it as a translator (")
    assert str(error.value).endswith("); convert the model anew.")


def test_nothing_is_left_of_a_conversion_that_fails(taught_model, tmp_path, monkeypatch):
    from ctranslate2.converters import TransformersConverter

    def fail(*_, **__):
        raise ValueError("no such layer")

    monkeypatch.setattr(TransformersConverter, "convert", fail)
    with pytest.raises(ModelError) as error:
        Nllb(taught_model, device="cpu", converted=tmp_path)
    assert str(error.value) == (
        f"{taught_model} cannot be converted to CTranslate2 (no such layer); translate with "
        'backend="transformers", or give a directory that is converted.'
    )
    assert not list(tmp_path.iterdir())


def test_a_place_for_conversions_that_cannot_be_written_is_named(taught_model, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ModelError) as error:
        Nllb(taught_model, device="cpu", converted=tmp_path / "file")
    assert str(error.value) == (
        f"{taught_model} cannot be converted in {tmp_path / 'file'} (File exists); make room, or "
        "name another directory for conversions."
    )


# The hub.


@pytest.fixture
def online(taught_model, conversions, tmp_path, monkeypatch):
    """A hub with the model in both formats, and one with pickle only; yields the requests."""
    pickled, converted = tmp_path / "pickled", tmp_path / "ct2"
    shutil.copytree(taught_model, pickled)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    shutil.copytree(weights.conversion(taught_model, "taught", conversions, "float32"), converted)
    shutil.copy(taught_model / "tokenizer.json", converted)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    places = {"owner/nllb": taught_model, "owner/pickled": pickled, "owner/ct2": converted}
    with hub(places) as (address, asked):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE",
            address + "/{repo_id}/resolve/{revision}/{filename}",
        )  # fmt: skip
        yield asked


@pytest.mark.parametrize("name", ["owner/nllb", "owner/ct2"])
def test_both_formats_come_from_the_hub_once(online, name, monkeypatch):
    code, text, english = PAIRS[0]
    translator = Nllb(name, device="cpu", compute_type="float32")
    assert translator.translate([text], code) == [english]
    expected = "ctranslate2" if name == "owner/ct2" else "transformers"
    assert translator.settings["backend"] == expected
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    online.clear()
    assert Nllb(name, revision="main", device="cpu").translate([text], code) == [english]
    assert not online


def test_pickle_on_the_hub_is_not_even_fetched(online):
    with pytest.raises(ModelError, match="owner/pickled holds no safetensors weights"):
        Nllb("owner/pickled")
    assert not any("pytorch_model.bin" in path for path in online)


def test_a_conversion_whose_weights_do_not_come_is_named(online, monkeypatch):
    def fail(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    with pytest.raises(ModelError) as error:
        Nllb("owner/ct2")
    assert str(error.value) == (
        "owner/ct2: model.bin cannot be fetched (No space left on device); try again, or download "
        "the repository and give the directory."
    )


def test_nothing_but_a_directory_or_a_name_is_a_place(tmp_path):
    with pytest.raises(ModelError) as error:
        Nllb(tmp_path / "absent")
    assert str(error.value) == (
        f"{tmp_path / 'absent'}: no such directory, and not a Hugging Face name (owner/name); "
        "mend the path."
    )
    with pytest.raises(ModelError, match="is a directory and has no revisions"):
        Nllb(tmp_path, revision="main")


# What is no translator.


def test_an_empty_directory_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"holds no config\.json, so it is no Hugging Face model"):
        Nllb(tmp_path)


def test_another_kind_of_model_is_named(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    with pytest.raises(ModelError) as error:
        Nllb(tmp_path)
    assert str(error.value) == (
        f"{tmp_path} is a llama, not a translator of the NLLB-200 kind (m2m_100); use one like "
        "facebook/nllb-200-distilled-600M, or translate with a vendor's model."
    )


def test_a_model_without_english_is_named(taught_model, tmp_path):
    place = tmp_path / "model"
    shutil.copytree(taught_model, place)
    text = (place / "tokenizer.json").read_text(encoding="utf-8")
    (place / "tokenizer.json").write_text(text.replace("eng_Latn", "eng_None"), encoding="utf-8")
    with pytest.raises(ModelError) as error:
        Nllb(place)
    assert str(error.value) == (
        f"{place} has no token eng_Latn to translate into English; use a model of the NLLB-200 "
        "kind."
    )


def test_a_language_that_the_model_does_not_know_is_named(taught_model, tmp_path):
    place = tmp_path / "model"
    shutil.copytree(taught_model, place)
    text = (place / "tokenizer.json").read_text(encoding="utf-8")
    (place / "tokenizer.json").write_text(text.replace("gle_Latn", "gle_None"), encoding="utf-8")
    with pytest.raises(ModelError) as error:
        Nllb(place, device="cpu").translate(["Tá."], "ga")
    assert str(error.value) == (
        f"{place} has no token gle_Latn, so it does not know that language; use a model that does."
    )


def test_a_damaged_tokenizer_is_named(taught_model, tmp_path):
    place = tmp_path / "model"
    shutil.copytree(taught_model, place)
    (place / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError) as error:
        Nllb(place)
    assert str(error.value).startswith(f"{place}: tokenizer.json cannot be read (")
    assert str(error.value).endswith("); get it anew.")


def test_pickle_is_never_loaded(taught_model, tmp_path, conversions):
    place = tmp_path / "model"
    shutil.copytree(taught_model, place)
    network = M2M100ForConditionalGeneration.from_pretrained(place)
    (place / "model.safetensors").unlink()
    torch.save(network.state_dict(), place / "pytorch_model.bin")
    for converted in (None, conversions):
        with pytest.raises(ModelError) as error:
            Nllb(place, converted=converted)
        assert str(error.value) == (
            f"{place} holds no safetensors weights (pickle files are never loaded); give a "
            "revision that has them, or a conversion to CTranslate2 (docs/translation.md says how)."
        )


@pytest.mark.parametrize("how", ["converted", "as it is"])
def test_weights_that_are_missing_are_named(taught_model, tmp_path, how):
    place = tmp_path / "model"
    shutil.copytree(taught_model, place)
    state = load_file(place / "model.safetensors")
    del state["model.decoder.layers.1.fc2.weight"]
    save_file(state, place / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError) as error:
        Nllb(place, device="cpu", converted=tmp_path / "kept" if how == "converted" else None)
    assert str(error.value) == (
        f"{place} lacks 1 of its weights (model.decoder.layers.1.fc2.weight); get the model anew."
    )


def test_weights_that_do_not_fit_are_named(taught_model, tmp_path):
    place = tmp_path / "model"
    shutil.copytree(taught_model, place)
    config = json.loads((place / "config.json").read_text())
    (place / "config.json").write_text(json.dumps(config | {"d_model": 64}))
    with pytest.raises(ModelError) as error:
        Nllb(place, device="cpu")
    assert str(error.value).startswith(f"{place} cannot be loaded (")
    assert str(error.value).endswith(
        "); its weights do not fit its config.json, or its files are damaged: get the model anew."
    )


# How it is computed.


def test_the_package_that_is_needed_is_named(taught_model, conversions, monkeypatch):
    monkeypatch.setitem(sys.modules, "ctranslate2", None)
    with pytest.raises(ModelError) as error:
        Nllb(taught_model, converted=conversions)
    assert str(error.value) == (
        f'{taught_model} is translated by CTranslate2; pip install "polydrift[translate]".'
    )
    assert Nllb(taught_model, device="cpu").settings["backend"] == "transformers"


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"backend": "fairseq"},
            "unknown backend 'fairseq': use one of auto, ctranslate2, transformers.",
        ),
        ({"beam": 0}, "a beam of 0 finds nothing: use 1 (greedy) or more."),
        (
            {"backend": "ctranslate2"},
            "{place} is not in CTranslate2's format; say where to keep a conversion (converted=…).",
        ),
        ({"device": "tpu"}, "{place}: cannot translate on 'tpu'; use auto, cpu, cuda or cuda:N."),
        (
            {"device": "cuda:99"},
            "{place}: there is no CUDA device 'cuda:99' here ({cards} found); use another one, cpu "
            "or auto.",
        ),
        (
            {"compute_type": "int8", "device": "cpu"},
            "{place}: 'int8' cannot be computed here (transformers); use one of bfloat16, float16, "
            "float32.",
        ),
    ],
)
def test_settings_that_make_no_sense_are_named(taught_model, settings, sentence):
    with pytest.raises(ModelError) as error:
        Nllb(taught_model, **settings)
    cards = torch.cuda.device_count()
    assert str(error.value) == sentence.format(place=taught_model, cards=cards)


def test_a_number_format_that_ctranslate2_lacks_is_named(taught_model, conversions):
    with pytest.raises(ModelError) as error:
        Nllb(taught_model, converted=conversions, device="cpu", compute_type="int3")
    assert str(error.value).startswith(
        f"{taught_model}: 'int3' cannot be computed here (cpu); use one of float32, int"
    )


@pytest.mark.parametrize("translator", ["fast", "plain"])
def test_a_failure_while_translating_is_named(translator, request, monkeypatch):
    translator = request.getfixturevalue(translator)

    def fail(*_, **__):
        raise RuntimeError("CUDA out of memory. Tried to allocate")

    inner = "_translator" if translator.settings["backend"] == "ctranslate2" else "_network"
    engine = translator._engine
    if inner == "_network":
        monkeypatch.setattr(engine._network, "generate", fail)
    else:
        monkeypatch.setattr(engine, inner, type("Broken", (), {"translate_batch": fail})())
    with pytest.raises(ModelError) as error:
        translator.translate(["Hej."], "da")
    assert str(error.value).endswith(
        " failed while translating (CUDA out of memory. Tried to allocate); if memory ran out, "
        "give it less (memory=…)."
    )
