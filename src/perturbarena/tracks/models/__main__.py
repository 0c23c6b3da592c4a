"""``python -m perturbarena.tracks.models SETTINGS``: what :class:`FakeModel` starts; SETTINGS is JSON.

It ends when its stdin closes, so that no server outlives the test that started it.
"""

from __future__ import annotations

import sys

from perturbarena.errors import InputError
from perturbarena.tracks.models.fake_server import serve
from perturbarena.tracks.models.settings import FakeSettings

if __name__ == "__main__":
    try:
        serve(FakeSettings.model_validate_json(sys.argv[1]), until_stdin_closes=True)
    except InputError as error:
        sys.exit(f"error: {error}")
