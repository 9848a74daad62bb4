"""Playing from pixels: deep Q-learning (Mnih et al. 2015) on tf-agents."""
