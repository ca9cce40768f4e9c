"""Search by compact codes: texts and images."""
