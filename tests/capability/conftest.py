"""Small models with adapters, and tasks over a few facts of our own: nothing comes from a hub."""

from __future__ import annotations

import json

import pytest
import torch
import yaml

from polydrift.engine.model import Source
from polydrift.engine.models import load
from tests.engine.factory import CONTROL, FAMILIES, FURTHER_STOPS, make_network, make_tokenizer
from tests.engine.test_adapters import peft_adapter

torch.set_num_threads(1)

ADAPTERS = {"rank 4": {}, "rank 7": {"r": 7, "lora_alpha": 3}, "DoRA": {"use_dora": True}}

FACTS = [
    ("What is the capital of Denmark?", ["Copenhagen", "Athens", "Dublin city", "Lisbon"], 0),
    ("丹麦的首都是哪里？", ["雅典", "哥本哈根", "里斯本", "马德里"], 1),
    ("Hvad er hovedstaden i Grækenland?", ["København", "Dublin", "Athen", "Madrid og omegn"], 2),
    ("Ποια είναι η πρωτεύουσα της Ισπανίας;", ["Αθήνα", "Δουβλίνο", "Λισαβόνα", "Μαδρίτη"], 3),
    ("डेनमार्क की राजधानी क्या है?", ["कोपेनहेगन", "एथेंस", "मैड्रिड", "लिस्बन"], 0),
    ("Cad é príomhchathair Éireann?", ["An Aithin", "Baile Átha Cliath", "Maidrid", "Cóbh"], 1),
    ("Qual é a capital de Portugal?", ["Madri", "Dublim", "Lisboa", "Atenas"], 2),
    ("¿Cuál es la capital de España? ", ["Lisboa", "Atenas", "Dublín", "Madrid"], 3),
    ("Ano ang kabisera ng Denmark?", ["Copenhagen", "Athens", "Madrid", "Lisbon"], 0),
]  # fmt: skip
SHOTS = [
    ("What is the capital of Greece?", ["Madrid", "Athens", "Lisbon", "Dublin"], 1),
    ("What is the capital of Spain?", ["Madrid", "Athens", "Lisbon", "Dublin"], 0),
    ("What is the capital of Ireland?", ["Madrid", "Athens", "Lisbon", "Dublin"], 3),
]
MEAN = {"aggregation": "mean", "higher_is_better": True}
TASKS = {
    "facts_choice": {
        "output_type": "multiple_choice",
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_choice": "options",
        "doc_to_target": "answer",
        "metric_list": [{"metric": m, **MEAN} for m in ("acc", "acc_norm", "acc_mutual_info")],
    },
    "facts_letter": {
        "output_type": "multiple_choice",
        "doc_to_text": "{{question}}\nA. {{options[0]}}\nB. {{options[1]}}\nC. {{options[2]}}\n"
        "D. {{options[3]}}\nAnswer: ",  # ends in a blank
        "target_delimiter": "",
        "doc_to_choice": ["A", "B", "C", "D"],
        "doc_to_target": "answer",
        "fewshot_split": "train",
        "num_fewshot": 2,
        "metric_list": [{"metric": "acc", **MEAN}],
    },
    "facts_end": {
        "output_type": "loglikelihood",
        "doc_to_text": "{{question}}",
        "doc_to_target": "{{options[answer]}}",
        "metric_list": [
            {"metric": "perplexity", "aggregation": "perplexity", "higher_is_better": False},
            {"metric": "acc", **MEAN},
        ],
    },
    "facts_text": {
        "output_type": "loglikelihood_rolling",
        "doc_to_text": "",
        "doc_to_target": "{{question}} {{options|join(', ')}}",
        "metric_list": [
            {"metric": "word_perplexity", "aggregation": "weighted_perplexity"},
            {"metric": "byte_perplexity", "aggregation": "weighted_perplexity"},
            {"metric": "bits_per_byte", "aggregation": "bits_per_byte"},
        ],
    },
    "facts_write": {
        "output_type": "generate_until",
        "doc_to_text": "Question: {{question}}\nAnswer:",
        "doc_to_target": "{{options[answer]}}",
        "generation_kwargs": {"until": ["\n", "e", " "], "max_gen_toks": 12, "do_sample": False},
        "metric_list": [{"metric": "exact_match", **MEAN, "ignore_case": True}],
    },
}
GROUP = {
    "group": "facts",
    "task": ["facts_choice", "facts_letter"],
    "aggregate_metric_list": [{"metric": "acc", "weight_by_size": True}],
    "metadata": {"version": 2.0},
}


def make_tasks(directory, **changes):
    """Write the tasks' data and YAML files; changes: {task: settings in place of its own}."""
    data = {}
    for split, facts in (("test", FACTS), ("train", SHOTS)):
        path = directory / f"{split}.jsonl"
        rows = [{"question": q, "options": o, "answer": a} for q, o, a in facts]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        data[split] = str(path)
    for name, settings in TASKS.items():
        task = {
            "task": name,
            "dataset_path": "json",
            "dataset_kwargs": {"data_files": data, "cache_dir": str(directory / "cache")},
            "training_split": "train",
            "test_split": "test",
            "metadata": {"version": 1.0},
            **settings,
            **changes.get(name, {}),
        }
        (directory / f"{name}.yaml").write_text(yaml.safe_dump(task), encoding="utf-8")
    (directory / "facts.yaml").write_text(yaml.safe_dump(GROUP), encoding="utf-8")
    return directory


def make_exact_model(family, directory, vocabulary=None):
    """A random model with as many logits as its tokenizer has tokens: lm-eval's `hf` cuts or
    lengthens the embeddings of others when it is given an adapter.
    """
    tokenizer = make_tokenizer(family)
    network = make_network(family, vocabulary or len(tokenizer))
    stops = [tokenizer.eos_token, *FURTHER_STOPS[family]]
    for config in (network.config, network.generation_config):
        config.bos_token_id, config.pad_token_id = tokenizer.bos_token_id, tokenizer.pad_token_id
        config.eos_token_id = [tokenizer.convert_tokens_to_ids(token) for token in stops]
    if CONTROL[family][0]:  # as the published tokenizers do, which have one
        bos = tokenizer.bos_token
        from tokenizers.processors import TemplateProcessing

        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single=f"{bos} $A", pair=f"{bos} $A {bos} $B",
            special_tokens=[(bos, tokenizer.bos_token_id)],
        )  # fmt: skip
    network.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def include(tmp_path_factory):
    """A directory of tasks."""
    return make_tasks(tmp_path_factory.mktemp("tasks"))


@pytest.fixture(scope="session", params=FAMILIES)
def base(request, tmp_path_factory):
    """(loaded model, directories of its members) of each family; the first is the base itself."""
    where = tmp_path_factory.mktemp(request.param)
    model = load(Source(str(make_exact_model(request.param, where / "base")), device="cpu"))
    for number, (name, changes) in enumerate(ADAPTERS.items()):
        peft_adapter(model.network, where / name, seed=number, **changes)
    return model, [None, *(where / name for name in ADAPTERS)]
