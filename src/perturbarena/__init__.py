"""perturbarena: fair benchmarks and honest scores for models that predict what a gene knockout does.

The rooms (subpackages) and the direction in which data flows through them are drawn in
``docs/design/architecture.md``. Importing this package imports none of them.
"""

__version__ = "0.1.0"
