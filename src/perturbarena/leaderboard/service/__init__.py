"""The board over HTTP: pages that are complete without scripts, and an API for programs."""

from perturbarena.leaderboard.service.app import create_app, server_options
from perturbarena.leaderboard.service.settings import ServiceSettings

__all__ = ["ServiceSettings", "create_app", "server_options"]
