"""Find ships in satellite images with a patch U-Net, stitched full masks and the true dice."""

__version__ = "0.1.0"
