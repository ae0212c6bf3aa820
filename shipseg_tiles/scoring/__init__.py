"""Scores of predicted masks against the labels: the true dice of an image, and the competition's F2 over objects."""
