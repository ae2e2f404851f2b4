# The standalone server, `litestar-tus serve`. docs/deployment.md says how to run it.
#
# Which Python: a tag that does not move. In a registry of your own, pin it by its digest:
#   docker build --build-arg PYTHON_IMAGE=python:3.13.7-slim-bookworm@sha256:… .
ARG PYTHON_IMAGE=python:3.13.7-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
WORKDIR /build
RUN ["python", "-m", "venv", "/opt/litestar-tus"]
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
# Compiled here: where it runs nothing can be written.
RUN ["/opt/litestar-tus/bin/pip", "install", "--no-cache-dir", "--compile", ".[metrics,s3,server]"]

FROM ${PYTHON_IMAGE}
# A number, so that an orchestrator can see that it is not root.
RUN ["useradd", "--system", "--uid", "10001", "--no-create-home", "--shell", "/usr/sbin/nologin", "tus"]
RUN ["install", "--directory", "--owner=10001", "--group=10001", "--mode=0700", "/srv/uploads"]
COPY --from=build /opt/litestar-tus /opt/litestar-tus
ENV PATH=/opt/litestar-tus/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TUS_DIR=/srv/uploads \
    TUS_HOST=0.0.0.0 \
    TUS_PORT=8000
USER 10001:10001
WORKDIR /srv
VOLUME ["/srv/uploads"]
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['TUS_PORT'] + '/health', timeout=4)"]
ENTRYPOINT ["litestar-tus"]
CMD ["serve"]
