"""Question sets in the forms that other places expect; the texts and tables, not the files."""

from perturbarena.benchmark.exporters.huggingface import dataset_card, parquet_table
from perturbarena.benchmark.exporters.kaggle import data_description, solution_warnings

__all__ = ["data_description", "dataset_card", "parquet_table", "solution_warnings"]
