"""The task `text`: what comes next, by networks that remember what they have read."""
