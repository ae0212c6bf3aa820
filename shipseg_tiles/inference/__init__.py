"""From a net and an image of any size to one seamless map of probabilities, and from there to masks and ships."""
