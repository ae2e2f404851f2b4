"""tuspyserver as its documentation shows it, storing in the directory that BENCH_DIRECTORY names."""

import os

from fastapi import FastAPI
from tuspyserver import create_tus_router

app = FastAPI()
app.include_router(create_tus_router(prefix="files", files_dir=os.environ["BENCH_DIRECTORY"]))
