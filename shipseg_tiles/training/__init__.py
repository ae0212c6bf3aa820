"""Training on a patch store, judged at each epoch's end by the true dice of full images."""
