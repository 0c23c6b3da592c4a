"""Question sets: what is asked, and whether its answers can be read off its shape."""

from perturbarena.benchmark.simulate import SimulatedQuestions, simulate_questions

__all__ = ["SimulatedQuestions", "simulate_questions"]
