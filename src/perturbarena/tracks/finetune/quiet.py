"""Keeps libraries' own progress bars off the terminal, where this program shows its progress itself."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator

_RENAMED = "`is_gradient_checkpointing` is deprecated"


@contextlib.contextmanager
def quiet_loading() -> Iterator[None]:
    """No bars of transformers, and no warning of a name that peft and trl use and transformers has renamed."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=_RENAMED, category=FutureWarning)
            yield
    finally:
        if shown:
            logging.enable_progress_bar()
