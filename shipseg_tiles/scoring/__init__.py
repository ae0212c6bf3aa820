"""Scores of predicted masks against the labels, with intervals, and what they serve to choose.

The true dice of an image and the competition's F2 over objects; how far the choice of the images decides them
(bootstrap); the threshold and the like that are best on validation images (calibration); how far tiled prediction is
from that of the whole image (seams).
"""
