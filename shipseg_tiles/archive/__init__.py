"""Where images and labels come from: a folder with its CSV or masks, or the simulator; and how they are split."""
