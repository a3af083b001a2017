"""From image files to arrays, without torch: decoding, resizing, masks, drawing."""
