"""Prediction without torch, over `images` and the tasks' specifications: what a shipped network needs."""
