"""A local page that finds ships in the images that are dropped on it."""
