"""What is heavy is loaded when a translator is, not before."""

from __future__ import annotations

import subprocess
import sys


def test_the_room_loads_no_heavy_library():
    script = (
        "import sys; from polydrift.translate import "
        "back, doubts, interface, layout, lexicon, nllb, quality, sentences, vendor, weights; "
        "print([m for m in ('torch', 'transformers', 'ctranslate2', 'sacrebleu', 'inspect_ai') "
        "if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert shown.stdout.strip() == "[]", shown.stderr
