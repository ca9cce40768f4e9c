"""What runs an experiment: units, the cache, verdicts, results files, tables and their drawings."""
