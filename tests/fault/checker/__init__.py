"""Judges a run by what its clients asked for and saw. Imports nothing of the system under test."""
