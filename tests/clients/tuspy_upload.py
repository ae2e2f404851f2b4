"""Uploads a file with tuspy and reports on standard output as JSON.

    python tuspy_upload.py <settings as JSON>

Settings: `endpoint`, `file`, `url_storage` (file in which URLs are kept between processes; absent: none), and
`options` (handed to tuspy's uploader). tuspy retries nothing unless told to.
"""

import json
import sys

from tusclient.client import TusClient
from tusclient.storage.filestorage import FileStorage

settings = json.loads(sys.argv[1])
options = settings.get("options", {})
if "url_storage" in settings:
    options |= {"store_url": True, "url_storage": FileStorage(settings["url_storage"])}
uploader = TusClient(settings["endpoint"]).uploader(settings["file"], **options)
first_offset = uploader.offset
uploader.upload()
print(json.dumps({"url": uploader.url, "first_offset": first_offset, "offset": uploader.offset}))
