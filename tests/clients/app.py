"""The smallest application with the plugin: what the ASGI servers in `test_servers.py` serve."""

import os

from litestar import Litestar

from litestar_tus import TUSConfig, TUSPlugin

app = Litestar(plugins=[TUSPlugin(TUSConfig(upload_dir=os.environ["TUS_TEST_DIR"], downloads=True))])
