"""Search of texts and images by compact codes."""
