"""Published scores, for comparison with a run's.

Random play and people: Mnih et al. 2015, Extended Data Table 2 (later papers have another human
column, from another protocol). `(frames, score)` points: Dopamine's DQN (JAX, Adam), the training
average of five seeds with sticky actions, Castro et al. 2018.
"""

RANDOM_AND_HUMAN = {
    "ALE/Breakout-v5": (1.7, 31.8),
    "ALE/Pong-v5": (-20.7, 9.3),
    "ALE/BeamRider-v5": (363.9, 5775.0),
    "ALE/Boxing-v5": (0.1, 4.3),
    "ALE/Enduro-v5": (0.0, 309.6),
    "ALE/SpaceInvaders-v5": (148.0, 1652.0),
    "ALE/Seaquest-v5": (68.4, 20182.0),
    "ALE/Qbert-v5": (163.9, 13455.0),
}
SOURCE = "Mnih et al. 2015, Extended Data Table 2"

PUBLISHED = {
    "ALE/Pong-v5": [(1e6, -20.2), (2e6, -18.5), (4e6, -13.9), (10e6, 6.3)],
    "ALE/Breakout-v5": [(1e6, 1.8), (2e6, 6.5), (4e6, 18.9), (10e6, 46.9)],
}
PUBLISHED_BY = "Dopamine's DQN (five seeds)"


def baselines(env: str) -> list[tuple[str, float]]:
    """(player, score) for random play and people; empty where none are published."""
    return list(zip(("random play", "people"), RANDOM_AND_HUMAN.get(env, ())))


def human_normalised(env: str, score: float) -> float | None:
    """100 (score - random) / (human - random), in per cent; None without a human score."""
    if env not in RANDOM_AND_HUMAN:
        return None
    random, human = RANDOM_AND_HUMAN[env]
    return 100 * (score - random) / (human - random)
