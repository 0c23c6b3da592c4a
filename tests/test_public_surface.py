"""Every room's door: what it promises in ``__all__`` exists and is documented."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import perturbarena


def _modules() -> list[str]:
    found = pkgutil.walk_packages(perturbarena.__path__, "perturbarena.")
    return ["perturbarena", *(module.name for module in found)]


MODULES = _modules()
ROOMS = [f"perturbarena.{m.name}" for m in pkgutil.iter_modules(perturbarena.__path__) if m.ispkg]


@pytest.mark.parametrize("name", MODULES)
def test_every_module_says_why_it_exists(name):
    assert (importlib.import_module(name).__doc__ or "").strip()


@pytest.mark.parametrize("name", ROOMS)
def test_a_rooms_public_names_exist_once_and_are_documented(name):
    room = importlib.import_module(name)
    public = getattr(room, "__all__", [])
    assert len(set(public)) == len(public)
    for attribute in public:
        value = getattr(room, attribute)
        if inspect.isroutine(value) or inspect.isclass(value):
            assert (inspect.getdoc(value) or "").strip(), f"{name}.{attribute}"


@pytest.mark.parametrize("name", MODULES)
def test_public_functions_and_classes_are_documented(name):
    module = importlib.import_module(name)
    for attribute, value in vars(module).items():
        own = getattr(value, "__module__", None) == name
        if own and not attribute.startswith("_") and (inspect.isfunction(value) or inspect.isclass(value)):
            assert (value.__doc__ or "").strip(), f"{name}.{attribute}"


@pytest.mark.parametrize("name", [room for room in ROOMS if room != "perturbarena.cli"])  # its door is main alone
def test_a_door_re_exports_everything_it_imports(name):
    room = importlib.import_module(name)
    imported = {
        attribute
        for attribute, value in vars(room).items()
        if not attribute.startswith("_") and str(getattr(value, "__module__", "")).startswith(f"{name}.")
    }
    assert imported <= set(getattr(room, "__all__", []))
