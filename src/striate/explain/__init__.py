"""Looking into a trained network: one way of looking a file, each from a network and images to arrays.

taps.py          what the parts of a network give, without leaving a trace in it
grad_cam.py      where: the places that a statement rests on, by gradients
occlusion.py     where, the slow check: what becomes of the statement when a part of the image is covered
filters.py       what: the weights of the first layer, as pictures
feature_maps.py  what: the channels of any layer, for one image
excitation.py    what: the patches of many images that excite a channel most
embedding.py     like what: images as vectors, their neighbours, and their projection to a plane
calibration.py   how sure: whether shares of right answers are what the network says they are
layer_matrix.py  a layer as the matrix that it is

pictures.py      arrays as pictures
charts.py        figures as SVG
page.py          a page of HTML in one file
"""
