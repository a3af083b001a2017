"""From decoded samples to batches of tensors: order, augmentation, normalisation, targets."""
