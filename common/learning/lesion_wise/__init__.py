"""The learned lesion-wise metric: a network that estimates lesion F1, trained on drawn masks."""
