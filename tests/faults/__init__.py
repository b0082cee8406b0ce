"""Faults on purpose: whatever ends, stops or disturbs a run, the documented command mends it.

``python -m faults`` runs a campaign, ``test_faults.py`` a short form of it. A fault is a function
of a `World`, a data set in a folder of its own, and of random numbers: it does the damage, then
what docs/faults.md says to do. Afterwards the world compares itself with an undisturbed one.
"""
