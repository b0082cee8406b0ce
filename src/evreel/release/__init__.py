"""What a release is; verifying and opening one. `evreel.publish` builds it.

A release is a folder with a data set and the lists that prove it complete, which
`evreel.release.manifest` describes.
"""
