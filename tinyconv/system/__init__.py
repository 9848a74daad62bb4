"""The machine: console, files, processor, Keras' start; nothing here depends on a network."""
