"""The command line's own words: help, plans, and mistakes that are one sentence each."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.end_to_end.conftest import STUDIES, Polydrift


def test_help_names_every_command(polydrift: Polydrift) -> None:
    text = polydrift("--help").stdout
    for command in ("plan", "run", "demo", "audit", "status", "explain", "report", "specimens"):
        assert command in text
    assert polydrift("--version").stdout.strip() == "0.1.0"


def test_the_papers_plan_says_what_it_takes(polydrift: Polydrift) -> None:
    text = polydrift("plan", STUDIES / "paper.toml").stdout
    assert "357 variants: 6 bases and 351 tuned ones" in text
    assert "1,413,720 answers" in text
    for name in ("meta-llama/Llama-3.2-1B-Instruct", "google/gemma-3-4b-it"):
        assert f"https://huggingface.co/{name}" in text
    assert "HF_TOKEN" in text
    assert "hours of one 80 GB-class GPU" in text
    assert "assumed, not measured" in text
    assert "needed: " in text
    assert "sorry-bench-multilingual.jsonl: there is no such file" in text


def test_a_plan_of_micro_models_takes_minutes(polydrift: Polydrift) -> None:
    text = polydrift("plan", STUDIES / "demo.toml").stdout
    assert "30 variants: 3 bases and 27 tuned ones" in text
    assert "time: minutes on a CPU" in text
    assert "needed" not in text
    assert "power: 116 unsafe prompts of specimen, 1 seed, 1 sample: a rise of " in text
    wished = polydrift("plan", STUDIES / "demo.toml", "--detect", 3).stdout
    assert re.search(r"a rise of 3 points takes [\d,]+ prompts; adjusted, [\d,]+ prompts", wished)


def test_a_study_that_lacks_its_files_is_not_begun(polydrift: Polydrift, tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    study.write_text((STUDIES / "smoke.toml").read_text().replace("specimen:suite", "absent.jsonl"))
    out = tmp_path / "out"
    done = polydrift("run", study, "--out", out, expect=2)
    assert done.stderr == (
        f"error: {tmp_path / 'absent.jsonl'}: there is no such file (the study's 'absent.jsonl'); "
        "make it, or mend the reference.\n"
    )
    assert not out.exists()


def test_mistakes_in_a_study_are_all_named(polydrift: Polydrift, tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    study.write_text('name = "x"\nbases = []\nzzz = 1\n')
    done = polydrift("run", study, expect=2)
    assert done.stderr.splitlines() == [
        f"error: {study}:2: bases: empty; give at least one.",
        f"error: {study}:3: zzz: unknown key; the keys here are name, description, notes, bases, "
        "tuning, variants, suites, evaluation, judges, translation, measures, capability, "
        "preference, statistics.",
    ]


def test_a_malformed_data_file_is_named_with_its_line(polydrift: Polydrift, tmp_path: Path) -> None:
    (tmp_path / "suite.jsonl").write_text('{"prompt_id": "1"\n')
    study = tmp_path / "study.toml"
    study.write_text((STUDIES / "smoke.toml").read_text().replace("specimen:suite", "suite.jsonl"))
    done = polydrift("plan", study, expect=2)
    assert done.stderr.startswith(f"error: {tmp_path / 'suite.jsonl'}:1: not JSON")


@pytest.mark.parametrize("command", ["status", "report"])
def test_a_directory_without_results_is_named(
    command: str, polydrift: Polydrift, tmp_path: Path
) -> None:
    done = polydrift(command, tmp_path, expect=2)
    assert done.stderr == (
        f"error: {tmp_path} holds no study (study.lock.json is not there); give the --out "
        "directory of a `polydrift run`.\n"
    )


def test_a_damaged_lock_file_is_named(polydrift: Polydrift, tmp_path: Path) -> None:
    (tmp_path / "study.lock.json").write_text("{")
    done = polydrift("status", tmp_path, expect=2)
    assert "study.lock.json is damaged" in done.stderr
    assert "delete it and run the study again" in done.stderr


def test_results_directories_that_are_odd(
    smoke: Path, polydrift: Polydrift, tmp_path: Path
) -> None:
    out = tmp_path / "odd"
    shutil.copytree(smoke, out)
    (out / "logs").mkdir()
    (out / "logs" / "failures.json").write_text("{")
    assert "failures.json is damaged" in polydrift("status", out, expect=2).stderr
    (out / "study.lock.json").write_text("{}")
    assert "parts are missing" in polydrift("status", out, expect=2).stderr
    shutil.copy(smoke / "study.lock.json", out)
    shutil.rmtree(out / "tables")
    done = polydrift("report", out, expect=2)
    assert done.stderr == (
        f"error: {out / 'tables' / 'answers.parquet'} is not there; run the study to make it.\n"
    )


def test_ctrl_c_says_that_finished_work_is_kept(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "polydrift", "run", str(STUDIES / "smoke.toml")],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
    )
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob("*/study.lock.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; finished work is kept" in said
    assert "Traceback" not in said


def test_a_large_model_is_not_said_to_take_minutes_on_a_cpu(
    polydrift: Polydrift, tmp_path: Path
) -> None:
    study = tmp_path / "study.toml"
    text = (STUDIES / "smoke.toml").read_text()
    study.write_text(text.replace('"specimen:llama-0"', '"org/large"\nparameters = 4e9'))
    assert "minutes of one 80 GB-class GPU" in polydrift("plan", study).stdout


def test_a_step_that_there_is_not(polydrift: Polydrift, tmp_path: Path) -> None:
    done = polydrift("explain", STUDIES / "smoke.toml", "tune/x", "--out", tmp_path, expect=2)
    assert done.stderr.startswith(
        "error: no step of this study is called 'tune/x'; steps look like"
    )


def test_a_hub_that_cannot_be_reached_is_named_before_anything_is_made(
    polydrift: Polydrift, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    study = tmp_path / "study.toml"
    text = (STUDIES / "smoke.toml").read_text()
    study.write_text(text.replace("specimen:llama-0", "meta-llama/Llama-3.2-1B-Instruct"))
    done = polydrift("run", study, "--out", tmp_path / "out", expect=2)
    assert "https://huggingface.co/meta-llama/Llama-3.2-1B-Instruct" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("size", ["lots", "0GB", "-1GB", "8 parsecs"])
def test_a_memory_that_is_no_size_is_named(polydrift: Polydrift, tmp_path: Path, size: str) -> None:
    done = polydrift(
        "run", STUDIES / "smoke.toml", "--out", tmp_path / "out", f"--memory={size}", expect=2
    )
    assert done.stderr == f"error: --memory {size!r} is no size; write it as 8GB or 500MB.\n"
    assert not (tmp_path / "out").exists()
