"""Algorithms that look into a trained network, one a file: each from a network and images to arrays.

activations.py      outputs of the parts of a network, without leaving a trace in it
grad_cam.py         where: the parts of an image that an output rests on, by gradients
occlusion.py        where, the slow check: how an output changes when a part of the image is covered
filters.py          what: the weights of the first layer, as images
feature_maps.py     what: the channels of any layer, for one image
top_activations.py  what: the patches of many images that activate a channel most
embedding.py        what is alike: images as vectors, their nearest neighbours, and their projection to a plane
calibration.py      how sure: whether probabilities are the shares of right answers
layer_matrix.py     a layer as the matrix that it is
"""
