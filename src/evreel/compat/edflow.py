"""edflow's data sets of a folder, and views of them, by their names.

``from evreel.compat.edflow import MetaViewDataset`` stands for
``from edflow.data.believers.meta_view import MetaViewDataset``. `evreel.loaders.views.edflow` says
what differs, and `evreel.loaders.views` has views of any data set.
"""

from evreel.loaders.views.edflow import MetaDataset, MetaViewDataset, store_label_mmap

__all__ = ["MetaDataset", "MetaViewDataset", "store_label_mmap"]
