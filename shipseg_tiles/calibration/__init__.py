"""Which setting of a net is best on validation images, and how good that choice is.

The nets run once over each image (measurement); what is kept of their objects (evidence) gives the scores of thousands
of settings (settings, setting grid), of which one is chosen (choice, calibration) and written into the contract.
"""
