"""Draws a dashboard as a picture, from any Prometheus and without a Grafana: `make board BOARD=overview`.

reading.py    a dashboard's file, as the panels that are drawn
asking.py     the Prometheus that has the data
wording.py    values with their units, as words
drawing.py    the page: rows, panels, tiles
plotting.py   curves, heatmaps and tables
__main__.py   the command
"""
