"""Data sets in the layouts of other tools.

`evreel.exports.layouts.LAYOUTS` lists them. A layout writes recordings into a folder and returns
what it could not hold: sentence → how often.
"""
