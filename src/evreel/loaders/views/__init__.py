"""Views: examples of a data set, put together by arrays of indices; edflow's folders of them.

`view` has the class, `view_file` what ``view.yaml`` says, `edflow` what ``meta.yaml`` says;
`gathered`, `mapped` and `nested` are arrays taken through indices, arrays in files, and examples in
dictionaries and lists.
"""

from evreel.loaders.views.view import View, base_digest, sequences

__all__ = ["View", "base_digest", "sequences"]
