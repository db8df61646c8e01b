"""A whole study as a user runs it: from the command line, in processes of its own."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from polydrift.results import NAMES
from tests.end_to_end.conftest import STUDIES, Polydrift

SMOKE = STUDIES / "smoke.toml"


def table_bytes(out: Path) -> dict[str, bytes]:
    return {name: (out / "tables" / f"{name}.parquet").read_bytes() for name in NAMES}


def records(out: Path) -> dict[Path, int]:
    """Of finished artifacts; what a killed run left half-made lies in .partial."""
    return {p: p.stat().st_mtime_ns for p in (out / "artifacts").glob("[a-z]*/*/record.json")}


def test_every_cell_is_judged_and_the_tables_are_whole(smoke: Path) -> None:
    verdicts = pq.read_table(smoke / "tables" / "verdicts.parquet")
    prompts = len(set(verdicts["prompt_id"].to_pylist()))
    assert prompts >= 160
    assert verdicts.num_rows == 3 * 3 * prompts
    assert set(verdicts["variant"].to_pylist()) == {
        "llama",
        "llama+benign-da-e3-s3407",
        "llama+benign-ga-e3-s3407",
    }
    assert set(verdicts["evaluation_language"].to_pylist()) == {"en", "da", "ga"}
    untuned = verdicts.filter(pc.equal(verdicts["variant"], "llama"))
    assert set(untuned["tuning_language"].to_pylist()) == {None}
    assert pq.read_table(smoke / "tables" / "missing.parquet").num_rows == 0
    measures = set(pq.read_table(smoke / "tables" / "measures.parquet")["measure"].to_pylist())
    assert measures == {
        *("accuracy", "perplexity", "bits_per_byte"),
        *("refusal_margin", "refusal_mass", "next_token_kl", "next_token_js"),
        *("drift_cosine", "drift_l2", "drift_mean_cosine", "drift_mean_l2"),
        *("cka", "cka_debiased", "procrustes", "refusal_direction_cosine"),
        *("refusal_shift", "refusal_shift_safe", "refusal_shift_clearest"),
        *("refusal_auc", "refusal_auc_variant", "refusal_shift_pooled"),
        *("adapter_norm", "adapter_relative"),
    }


def test_tuning_in_a_language_raises_compliance_there(smoke: Path) -> None:
    """The phenomenon that the demo shows, on one seed: large, and not in English."""
    effects = pq.read_table(smoke / "tables" / "effects.parquet").to_pylist()
    change = {
        (row["tuning_language"], row["evaluation_language"]): row
        for row in effects
        if row["outcome"] == "compliance" and row["kind"] == "unsafe"
    }
    assert change["da", "da"]["low"] > 0.10
    assert change["ga", "ga"]["low"] > 0.0
    assert abs(change["da", "en"]["difference"]) < 0.10


def test_the_report_is_one_page_that_needs_no_network(smoke: Path) -> None:
    page = (smoke / "report" / "index.html").read_text(encoding="utf-8")
    assert "smoke" in page
    for forbidden in ('src="http', 'href="http', "@import", "url(http"):
        assert forbidden not in page


def test_a_second_run_does_nothing_and_says_so_fast(smoke: Path, polydrift: Polydrift) -> None:
    before, tables = records(smoke), table_bytes(smoke)
    started = time.perf_counter()
    done = polydrift("run", SMOKE, "--out", smoke)
    seconds = time.perf_counter() - started
    assert "0 made now" in done.stdout
    assert records(smoke) == before
    assert table_bytes(smoke) == tables
    assert seconds < 6  # about 1 s when the machine is free


def test_status_explain_and_report(smoke: Path, polydrift: Polydrift) -> None:
    assert "33 of 33 steps done" in polydrift("status", smoke).stdout
    explained = polydrift("explain", SMOKE, "tune/*", "--out", smoke).stdout
    assert explained.count("is done") == 2
    (smoke / "report" / "index.html").unlink()
    assert polydrift("report", smoke).stdout.strip() == str(smoke / "report" / "index.html")
    assert (smoke / "report" / "index.html").exists()


def test_explain_names_what_changed(smoke: Path, polydrift: Polydrift, tmp_path: Path) -> None:
    longer = tmp_path / "longer.toml"
    longer.write_text(SMOKE.read_text().replace("max_new_tokens = 24", "max_new_tokens = 32"))
    lines = polydrift("explain", longer, "*/llama.da.specimen*", "--out", smoke).stdout
    assert "answer/llama.da.specimen will run" in lines
    assert "decoding.max_new_tokens: 24 -> 32" in lines
    assert "judge/llama.da.specimen.rules will run" in lines
    assert "input 'answers': its content changed" in lines


def test_two_directories_hold_the_same_tables(
    smoke: Path, polydrift: Polydrift, tmp_path: Path
) -> None:
    other = tmp_path / "elsewhere" / "results"
    polydrift("run", SMOKE, "--out", other, "--workers", 2, "--quiet")
    assert table_bytes(other) == table_bytes(smoke)


def test_a_study_that_is_killed_resumes_to_the_same_tables(
    smoke: Path, polydrift: Polydrift, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "polydrift", "run", str(SMOKE), "--out", str(out)]
    survived: dict[Path, int] = {}
    for want in (1, 4, 12, 20):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 120
        while len(records(out)) < want and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        now = records(out)
        assert len(now) >= want
        assert survived.items() <= now.items()  # nothing finished was done again
        survived = now
    polydrift("run", SMOKE, "--out", out)
    assert survived.items() <= records(out).items()
    assert table_bytes(out) == table_bytes(smoke)


def test_two_processes_on_one_directory_do_no_damage(
    smoke: Path, polydrift: Polydrift, tmp_path: Path
) -> None:
    out = tmp_path / "shared"
    command = [sys.executable, "-m", "polydrift", "run", str(SMOKE), "--out", str(out)]
    both = [
        subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("waiting until it is done" in err for _, err in said) == 1
    assert sorted("0 made now" in out for out, _ in said) == [False, True]
    assert table_bytes(out) == table_bytes(smoke)


def test_a_damaged_artifact_is_named_set_aside_and_made_anew(
    smoke: Path, polydrift: Polydrift, tmp_path: Path
) -> None:
    out = tmp_path / "damaged"
    shutil.copytree(smoke, out)
    victim = next((out / "artifacts" / "judge").glob("llama.da*")) / "verdicts.jsonl"
    with victim.open("a") as file:
        file.write("{}\n")
    done = polydrift("run", SMOKE, "--out", out)
    assert f"{victim} is damaged" in done.stderr
    assert "1 made now" in done.stdout
    assert len(list((out / "artifacts" / ".damaged").iterdir())) == 1
    assert table_bytes(out) == table_bytes(smoke)


def test_silent_damage_is_found_where_it_is_read(
    smoke: Path, polydrift: Polydrift, tmp_path: Path
) -> None:
    """Same size, other bytes: named when the tables are made, mended by running again."""
    out = tmp_path / "silent"
    shutil.copytree(smoke, out)
    victim = next((out / "artifacts" / "judge").glob("llama.da*")) / "verdicts.jsonl"
    victim.write_text(victim.read_text().replace("full", "FULL", 1))
    (out / "tables" / "record.json").unlink()
    done = polydrift("run", SMOKE, "--out", out, expect=2)
    assert "is damaged" in done.stderr
    assert "run the study again" in done.stderr
    polydrift("run", SMOKE, "--out", out)
    assert table_bytes(out) == table_bytes(smoke)


def test_stale_tables_and_silent_damage_mend_by_running_again(
    smoke: Path, polydrift: Polydrift, tmp_path: Path
) -> None:
    out = tmp_path / "stale"
    shutil.copytree(smoke, out)
    victim = next((out / "artifacts" / "answer").glob("llama.da*")) / "answers.jsonl"
    victim.write_text(victim.read_text().replace("stop", "STOP", 1))
    shutil.rmtree(out / "tables")
    assert "is damaged" in polydrift("run", SMOKE, "--out", out, expect=2).stderr
    polydrift("run", SMOKE, "--out", out)
    assert table_bytes(out) == table_bytes(smoke)


def test_verdicts_whose_answers_are_gone_are_missing_and_stop_nothing(
    smoke: Path, polydrift: Polydrift, tmp_path: Path
) -> None:
    out = tmp_path / "gone"
    shutil.copytree(smoke, out)
    shutil.rmtree(next((out / "artifacts" / "answer").glob("llama.da*")))
    broken = tmp_path / "study.toml"
    text = SMOKE.read_text().replace('"specimen:llama-0"', '"specimen:llama-0"\ndevice = "cuda:7"')
    broken.write_text(text)
    done = polydrift("run", broken, "--out", out, expect=1)
    assert "failed: answer/llama.da.specimen" in done.stderr
    missing = pq.read_table(out / "tables" / "missing.parquet")["step"].to_pylist()
    assert missing == ["answer/llama.da.specimen", "judge/llama.da.specimen.rules"]
    assert pq.read_table(out / "tables" / "verdicts.parquet").num_rows > 0


def test_the_report_follows_the_study_and_hides_again(
    smoke: Path, polydrift: Polydrift, tmp_path: Path
) -> None:
    out = tmp_path / "renewed"
    shutil.copytree(smoke, out)
    page = out / "report" / "index.html"
    hidden = page.read_bytes()
    polydrift("report", out, "--show-unsafe")
    assert page.read_bytes() != hidden
    polydrift("run", SMOKE, "--out", out)
    assert page.read_bytes() == hidden
    study = tmp_path / "study.toml"
    study.write_text(SMOKE.read_text().replace("One micro model", "ZEBRA"))
    polydrift("run", study, "--out", out)
    assert "ZEBRA" in page.read_text(encoding="utf-8")


def test_one_failing_cell_stops_no_other(polydrift: Polydrift, tmp_path: Path) -> None:
    text = SMOKE.read_text().replace(
        "[[tuning]]",
        '[[bases]]\nname = "broken"\nmodel = "broken"\n\n[[tuning]]\nbases = ["llama", "broken"]',
        1,
    )
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{}")
    study = tmp_path / "study.toml"
    study.write_text(text.replace('languages = ["da", "ga"]', 'languages = ["da"]'))
    out = tmp_path / "out"
    done = polydrift("run", study, "--out", out, expect=1)
    assert "failed: tune/broken+benign-da-e3-s3407" in done.stderr
    verdicts = pq.read_table(out / "tables" / "verdicts.parquet")
    assert set(verdicts["base"].to_pylist()) == {"llama"}
    missing = pq.read_table(out / "tables" / "missing.parquet").to_pylist()
    assert {row["base"] for row in missing} == {"broken"}
    held_back = [row for row in missing if "which failed" in row["reason"]]
    assert held_back
    page = (out / "report" / "index.html").read_text(encoding="utf-8")
    assert "tune/broken+benign-da-e3-s3407" in page
    assert "failed:" in polydrift("status", out).stdout


def test_renaming_a_base_makes_nothing_anew(
    smoke: Path, polydrift: Polydrift, tmp_path: Path
) -> None:
    out = tmp_path / "renamed"
    shutil.copytree(smoke, out)
    study = tmp_path / "renamed.toml"
    study.write_text(SMOKE.read_text().replace('name = "llama"', 'name = "camel"'))
    assert "0 made now" in polydrift("run", study, "--out", out).stdout
    verdicts = pq.read_table(out / "tables" / "verdicts.parquet")
    assert set(verdicts["base"].to_pylist()) == {"camel"}


def test_the_lock_file_says_what_was_run(smoke: Path) -> None:
    lock = json.loads((smoke / "study.lock.json").read_text())
    assert lock["study"]["name"] == "smoke"
    assert lock["study"]["tuning"][0]["rank"] == 8
    assert len(lock["steps"]) == 33
    assert set(lock["computed"]["seconds"]) == {"tune", "answer", "judge", "measure", "compare"}
    assert all(one["torch"] for one in lock["computed"]["environments"])
    assert set(lock["sources"]["models"]) == {"specimen:llama-0"}


@pytest.mark.parametrize("command", ["--help", "plan", "status"])
def test_looking_is_quick(smoke: Path, command: str) -> None:
    """Goal: 0.5 s beyond what Python, pydantic and typer take; 1 s where a machine is busy."""
    arguments = {"--help": [], "plan": [SMOKE], "status": [smoke]}[command]

    def seconds(*arguments: object) -> float:
        best = float("inf")
        for _ in range(3):
            started = time.perf_counter()
            subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, check=True)
            best = min(best, time.perf_counter() - started)
        return best

    bare = seconds("-c", "import pydantic, typer, rich.console")
    assert seconds("-m", "polydrift", command, *arguments) - bare < 1.0


def test_tables_and_figures_are_exported(smoke: Path, polydrift: Polydrift, tmp_path: Path) -> None:
    done = polydrift("export", smoke, "--format", "md", "--figure", "svg", "--out", tmp_path)
    written = [Path(line) for line in done.stdout.split()]
    assert tmp_path / "pooled.md" in written
    assert tmp_path / "tipping.svg" in written
    assert all(path.exists() for path in written)
    assert not (tmp_path / "answers.md").exists()  # texts only when named
    wrong = polydrift("export", smoke, "--table", "ratse", "--out", tmp_path, expect=2)
    assert "rates" in wrong.stderr
