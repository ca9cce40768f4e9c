"""Infrastructure of experiments: units, the cache, verdicts, results files, tables and drawings."""
