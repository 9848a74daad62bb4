"""The task `sentences`: what a sentence says, by trees, filters, chains and a memory."""
