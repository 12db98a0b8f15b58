"""The parts of make_vectors.py: each JSON file is made by the module of its name."""
