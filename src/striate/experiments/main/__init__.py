"""The main job on whole data sets: training a classifier on images, with no setting chosen by hand."""
