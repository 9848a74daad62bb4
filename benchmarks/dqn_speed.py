"""Deep Q-learning on ALE Breakout beside Stable-Baselines3's DQN: steps a second, and their parts.

    python benchmarks/dqn_speed.py --torch-python PYTHON [--rounds 3]

Both sample eight transitions per action for their updates, in processes of their own that take
turns. Stable-Baselines3 is not a dependency: name an interpreter that has it (`tox -e dqn-speed`).
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path

WORKERS = Path(__file__).with_name("speed_workers")
WARM = 1_400  # actions: the first updates, which compile, are among them
PEER = "Stable-Baselines3, float32"
# (games, batch, actions per update, dtype policy)
OURS = {
    "tinyconv, float32": [(1, 32, 4, "float32"), (8, 32, 4, "float32")],
    "tinyconv, mixed_bfloat16": [(1, 32, 4, "mixed_bfloat16"), (8, 32, 4, "mixed_bfloat16")],
    "tinyconv, mixed_bfloat16, batch 128": [
        (1, 128, 16, "mixed_bfloat16"),
        (8, 128, 16, "mixed_bfloat16"),
    ],
}
CASES = [(PEER, (games,)) for games in (1, 8)] + [
    (name, case) for name, cases in OURS.items() for case in cases
]


def measured(name: str, case: tuple, steps: int, torch_python: str) -> dict:
    """One run of a contender: the JSON document that it prints."""
    games, *more = case
    script, python = ("sb3_worker.py", torch_python) if name == PEER else ("dqn_worker.py", "")
    command = [python or sys.executable, WORKERS / script, games, WARM, steps, *more]
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
    )
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--torch-python", required=True, help="an interpreter with SB3")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1600)
    arguments = parser.parse_args()
    results = {case: [] for case in CASES}
    for _ in range(arguments.rounds):
        for case in CASES:
            results[case].append(measured(*case, arguments.steps, arguments.torch_python))
    cpu, wall = {}, {}
    for clock, pace in (("cpu", cpu), ("wall", wall)):
        for case, runs in results.items():
            pace[case] = statistics.median(run["steps"] / run[clock] for run in runs)
    print("| | games | steps a CPU second | against SB3 | steps a second | against SB3 |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, case in CASES:
        peer = PEER, case[:1]
        cells = [
            f"{value[name, case]:.0f} | {value[name, case] / value[peer]:.2f}x"
            for value in (cpu, wall)
        ]
        print(f"| {name} | {case[0]} | {' | '.join(cells)} |")
    print("\n| CPU ms a step | games | act | games' own | store | sample | update | all |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for (name, case), runs in results.items():
        if name != PEER:
            run = runs[-1]
            parts = [f"{1e3 * seconds / run['steps']:.2f}" for seconds in run["parts"].values()]
            print(f"| {name} | {case[0]} | {' | '.join(parts)} | {1e3 / cpu[name, case]:.2f} |")


if __name__ == "__main__":
    main()
