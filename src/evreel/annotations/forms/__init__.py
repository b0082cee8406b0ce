"""The forms beside CVAT's XML: COCO, MOT, YOLO and EventBbox, each with its reader and writer.

They list an object in every frame where it is; `evreel.annotations.forms.listing` joins what they
list to tracks.
"""
