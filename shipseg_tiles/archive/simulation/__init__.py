"""How a synthetic scene is made: noise fields, water, land, ships, and what lies between them and the sensor.

`shipseg_tiles.archive.simulate` puts the parts together; nobody else needs them.
"""
