"""The machine: console, files, processor and Keras' start; nothing here knows a network."""
