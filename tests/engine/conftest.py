from __future__ import annotations

import pytest
import torch

from polydrift.engine.model import Source
from polydrift.engine.models import load
from tests.engine.factory import FAMILIES, make_model

torch.set_num_threads(1)

PROMPTS = [
    "What is the capital of Denmark?",
    "丹麦的首都是哪里？",
    "Hvad er hovedstaden i Danmark, og hvor mange mennesker bor der omtrent i dag? Skriv kort.",
    "Ποια είναι η πρωτεύουσα της Δανίας;",
    "डेनमार्क की राजधानी क्या है?",
    "Cad é príomhchathair na Danmhairge?",
    "Qual é a capital da Dinamarca?",
    "¿Cuál es la capital de Dinamarca? " * 8,
    "Hi",
]
PAIRS = [
    (PROMPTS[0], "The capital of Denmark is Copenhagen."),
    (PROMPTS[1], "丹麦的首都是哥本哈根。"),
    (PROMPTS[2], "København."),
    (PROMPTS[3], "Η Κοπεγχάγη."),
    (PROMPTS[4], "डेनमार्क की राजधानी कोपेनहेगन है।"),
    (PROMPTS[5], "Is é Cóbanhávan príomhchathair na Danmhairge."),
    (PROMPTS[6], "Copenhaga."),
    (PROMPTS[7], "Copenhague, claro. " * 4),
    (PROMPTS[8], "Hi!"),
]


@pytest.fixture(scope="session")
def directories(tmp_path_factory):
    where = tmp_path_factory.mktemp("models")
    return {family: make_model(family, where / family) for family in FAMILIES}


@pytest.fixture(scope="session", params=FAMILIES)
def model(request, directories):
    """A loaded random model of each family; tests leave it as it is."""
    return load(Source(str(directories[request.param]), device="cpu"))


@pytest.fixture(scope="session")
def llama(directories):
    return load(Source(str(directories["llama"]), device="cpu"))
