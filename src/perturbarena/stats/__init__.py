"""Arrays in, arrays out: the statistics. No tables, no files."""
