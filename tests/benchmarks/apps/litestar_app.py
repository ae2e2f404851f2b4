"""The plugin in an application of its own, storing in the directory that BENCH_DIRECTORY names."""

import os

from litestar import Litestar

from litestar_tus import TUSConfig, TUSPlugin

app = Litestar(plugins=[TUSPlugin(TUSConfig(upload_dir=os.environ["BENCH_DIRECTORY"]))])
