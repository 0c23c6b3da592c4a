"""What inspect finds under the name ``perturbarena``; the package's entry point ``inspect_ai`` names this file."""

from perturbarena.tracks.prompt.inspect_task import prompt_only

__all__ = ["prompt_only"]
