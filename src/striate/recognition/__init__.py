"""From features to labels: the classifier, its evaluation and its protocols."""
