"""Scores of predicted masks against the labels, with intervals.

The true dice of an image and the competition's F2 over objects; how far the choice of the images decides them
(bootstrap); how far tiled prediction is from that of the whole image (seams).
"""
