"""Filter bank, rectification, normalization and pooling make a stage; stages stacked make a hierarchy."""
