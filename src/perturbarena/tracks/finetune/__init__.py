"""Track C: an open model made expert by training, then asked without tools.

What needs torch imports it when it is called, so that this door opens without it.
"""

from perturbarena.tracks.finetune.chat import ChatPrompt, Encoded, OptionIds, load_prompt
from perturbarena.tracks.finetune.critic import Critic, load_critic
from perturbarena.tracks.finetune.folder import TrainingFolder, read_manifest
from perturbarena.tracks.finetune.generate import Sampling
from perturbarena.tracks.finetune.history import history_table, read_history
from perturbarena.tracks.finetune.inference import ANSWER_WAYS, InferenceSettings, Wishes, resolve_inference
from perturbarena.tracks.finetune.likelihood import OptionScorer, OptionScores, option_log_likelihoods
from perturbarena.tracks.finetune.models import (
    LoadedModel,
    Located,
    ModelIdentity,
    check_parameters,
    count_parameters,
    load_model,
    locate,
)
from perturbarena.tracks.finetune.options import LETTER_OF, OPTION_TEXTS, option_text, read_text, stated_text
from perturbarena.tracks.finetune.rerank import RERANKS, Candidate, Reranked, rerank
from perturbarena.tracks.finetune.rewards import REWARDS, Written, label_weights
from perturbarena.tracks.finetune.settings import TrainSettings, bundled_settings, load_settings
from perturbarena.tracks.finetune.tiny import TinySettings, make_tiny_model
from perturbarena.tracks.finetune.weights import ModelFiles, model_files, stored_parameters

__all__ = [
    "ANSWER_WAYS",
    "LETTER_OF",
    "OPTION_TEXTS",
    "RERANKS",
    "REWARDS",
    "Candidate",
    "ChatPrompt",
    "Critic",
    "Encoded",
    "InferenceSettings",
    "LoadedModel",
    "Located",
    "ModelFiles",
    "ModelIdentity",
    "OptionIds",
    "OptionScorer",
    "OptionScores",
    "Reranked",
    "Sampling",
    "TinySettings",
    "TrainSettings",
    "TrainingFolder",
    "Wishes",
    "Written",
    "bundled_settings",
    "check_parameters",
    "count_parameters",
    "history_table",
    "label_weights",
    "load_critic",
    "load_model",
    "load_prompt",
    "load_settings",
    "locate",
    "make_tiny_model",
    "model_files",
    "option_log_likelihoods",
    "option_text",
    "read_history",
    "read_manifest",
    "read_text",
    "rerank",
    "resolve_inference",
    "stated_text",
    "stored_parameters",
]
