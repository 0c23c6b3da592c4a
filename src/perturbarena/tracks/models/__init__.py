"""Stand-ins for a model server: a fake with faults to order, and the replay of recorded outputs."""

from perturbarena.tracks.models.fake_model import FakeModel
from perturbarena.tracks.models.fake_server import OUTCOMES, serve
from perturbarena.tracks.models.planted import Planted, proposed, read_proposals
from perturbarena.tracks.models.replay import Recording, read_recording
from perturbarena.tracks.models.settings import FakeSettings

__all__ = [
    "OUTCOMES",
    "FakeModel",
    "FakeSettings",
    "Planted",
    "Recording",
    "proposed",
    "read_proposals",
    "read_recording",
    "serve",
]
