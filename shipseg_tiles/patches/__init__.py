"""Patches: which ones (plan), where they are kept (store), how they get there (make), how they leave (feed)."""
