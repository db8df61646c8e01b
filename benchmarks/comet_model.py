"""A small random COMET-Kiwi-like model, to run the real `comet-score` without a download.

    pipx install unbabel-comet
    python-of-comet benchmarks/comet_model.py FOLDER      # prints the checkpoint's path

Run it with the Python that has `unbabel-comet`, which cannot share one with polydrift (scores.py).
The scores of such a model mean nothing; that every row gets one, in order, is what is tried.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
import yaml
from comet.models import ReferencelessRegression
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import XLMRobertaConfig, XLMRobertaModel, XLMRobertaTokenizerFast


def main(folder: Path) -> None:
    """Write encoder, checkpoint and hparams.yaml as COMET lays them out."""
    encoder = folder / "encoder"
    letters = [chr(c) for c in (*range(32, 0x250), *range(0x370, 0x400), *range(0x900, 0x980))]
    pieces = ["<s>", "<pad>", "</s>", "<unk>", *letters, "<mask>"]
    vocabulary = models.Unigram([(piece, -1.0) for piece in pieces], unk_id=3)
    tokenizer = Tokenizer(vocabulary)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    XLMRobertaTokenizerFast(tokenizer_object=tokenizer).save_pretrained(encoder)
    config = XLMRobertaConfig(
        vocab_size=len(pieces),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=514,
        pad_token_id=1,
    )
    torch.manual_seed(0)
    XLMRobertaModel(config, add_pooling_layer=False).save_pretrained(encoder)
    metric = ReferencelessRegression(
        pretrained_model=str(encoder), hidden_sizes=[16], layer_norm=False, local_files_only=True
    )
    place = folder / "checkpoints" / "model.ckpt"
    place.parent.mkdir(parents=True, exist_ok=True)
    (folder / "hparams.yaml").write_text(
        yaml.safe_dump({"class_identifier": "referenceless_regression_metric"}), encoding="utf-8"
    )
    torch.save(
        {
            "state_dict": metric.state_dict(),
            "hyper_parameters": dict(metric.hparams),
            "pytorch-lightning_version": "2.0.0",
        },
        place,
    )
    print(place)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute())
