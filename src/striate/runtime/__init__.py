"""Prediction without torch, over `images` and the tasks' specifications."""
