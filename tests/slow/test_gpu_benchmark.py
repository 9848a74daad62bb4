"""benchmarks/gpu.py runs where there is no GPU, so that whoever has one runs it without a fault."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "gpu.py"


@pytest.mark.slow
def test_a_quick_trial_on_the_cpu(tmp_path):
    command = [sys.executable, str(BENCHMARK), "--quick"]
    end = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    results = json.loads((tmp_path / "gpu.json").read_text())
    assert {"jax", "tensorflow"} >= results.keys() and results
    for backend, result in results.items():
        assert result["exit_code"] == 0 and backend in result["versions"]
        rows = {(row["network"], row["precision"]): row for row in result["networks"]}
        assert len(rows) == 9
        for (network, _), row in rows.items():
            plain = rows[network, "float32"]
            assert math.isclose(row["loss"], plain["loss"], rel_tol=0.1)
            ways = {"chunk", "drawn"} if network != "caption" else {"chunk"}
            assert {"chunk", "drawn"} & row.keys() == (ways if backend == "jax" else set())
            assert f"| {network} | {row['batch']} | {row['precision']} |" in end.stdout
