"""Data sets in the layouts of other tools, and the events of one recording.

`evreel.exports.layouts` lists them: `LAYOUTS` those that are folders, `EVENT_LAYOUTS` those of one
file. What writes a layout returns what it could not hold: sentence → how often.
"""
