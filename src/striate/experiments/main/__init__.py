"""The main job on whole data sets: images in, a classifier out, with nothing chosen by hand."""
