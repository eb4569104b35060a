"""Portraits: what a picture needs to know of a model, measured once and stored, so that drawing never recomputes.

Each part is a task of a run, like training or a pair table; figures and the report read the files that it wrote.
"""
