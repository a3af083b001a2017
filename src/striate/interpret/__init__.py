"""Looking into a trained network: one way of looking a file, each from a network and images to arrays.

activations.py      what the parts of a network give, without leaving a trace in it
grad_cam.py         where: the places that a statement rests on, by gradients
occlusion.py        where, the slow check: what becomes of the statement when a part of the image is covered
filters.py          what: the weights of the first layer, as images
feature_maps.py     what: the channels of any layer, for one image
top_activations.py  what: the patches of many images that activate a channel most
embedding.py        like what: images as vectors, their neighbours, and their projection to a plane
calibration.py      how sure: whether shares of right answers are what the network says they are
layer_matrix.py     a layer as the matrix that it is
"""
