"""Question sets: what is asked, and whether its answers can be read off its shape."""

from perturbarena.benchmark.audit import Audit, LabelledFile, QuestionSet, audit_questions, read_question_set
from perturbarena.benchmark.leakage import CLEAN_WITHIN, Finding, Verdict
from perturbarena.benchmark.oracles import Oracle
from perturbarena.benchmark.overlap import Check
from perturbarena.benchmark.simulate import SimulatedQuestions, simulate_questions

__all__ = [
    "CLEAN_WITHIN",
    "Audit",
    "Check",
    "Finding",
    "LabelledFile",
    "Oracle",
    "QuestionSet",
    "SimulatedQuestions",
    "Verdict",
    "audit_questions",
    "read_question_set",
    "simulate_questions",
]
