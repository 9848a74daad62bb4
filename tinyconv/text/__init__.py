"""What tasks that write sentences share: a vocabulary, and the search for the best sentence."""
