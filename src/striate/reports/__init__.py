"""Pages that people read of a run and its data; nothing here trains, and nothing below imports it.

page.py              pages as plain data, rendered by templates/ with static/
report.py            `report.html`, put together from the sections below
learning_curves.py   how a run learned, epoch by epoch
quality.py           figures by class or joint, confusions, calibration
mistakes.py          the worst mistakes, and the least confident answers
data_card.py         what a run was trained on
first_layer.py       the filters of the first layer
representation.py    images in a plane, layer by layer
linear_probes.py     what a linear model reads from each layer
explanation_page.py  explanations of images
matrix_page.py       a layer as a matrix
charts.py            charts as marks of SVG, for pages
plots.py             curves as image files, by matplotlib
contact_sheet.py     training samples under each policy of augmentation
"""
