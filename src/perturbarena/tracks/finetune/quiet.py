"""Keeps libraries' own progress bars off the terminal, where this program shows its progress itself."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

_RENAMED = "`is_gradient_checkpointing` is deprecated"


@contextlib.contextmanager
def quiet_loading() -> Iterator[None]:
    """No bars and remarks of transformers, and no warning of a name it has renamed that peft and trl use."""
    from transformers.utils import logging

    shown, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=_RENAMED, category=FutureWarning)
            yield
    finally:
        logging.set_verbosity(verbosity)
        if shown:
            logging.enable_progress_bar()
