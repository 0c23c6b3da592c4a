"""Other people's question sets, made into folders of the kind that every other command reads."""

from perturbarena.benchmark.importers.anycsv import CsvMap, import_csv, read_map
from perturbarena.benchmark.importers.imported import Imported, Source, write_imported
from perturbarena.benchmark.importers.perturbqa import Merged, import_perturbqa, merge_perturbqa
from perturbarena.benchmark.importers.published import import_published

__all__ = [
    "CsvMap",
    "Imported",
    "Merged",
    "Source",
    "import_csv",
    "import_perturbqa",
    "import_published",
    "merge_perturbqa",
    "read_map",
    "write_imported",
]
