# syntax=docker/dockerfile:1

# Pin by digest as well where builds must be repeatable bit for bit: `docker buildx imagetools inspect
# python:3.13.14-slim-bookworm` prints it; write it behind the tag, as name:tag@sha256:…, in both FROM lines.
FROM python:3.13.14-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# `--build-arg LOCK=requirements-otel.lock` adds what TRACING needs.
ARG LOCK=requirements.lock
COPY requirements.lock requirements-build.lock requirements-otel.lock ./
RUN python -m venv --without-pip /opt/callworker \
    && python -m pip --python /opt/callworker/bin/python install --require-hashes --requirement "$LOCK" \
    && python -m pip install --require-hashes --requirement requirements-build.lock

COPY pyproject.toml README.md LICENSE ./
COPY clients/python/src clients/python/src
COPY config config
COPY worker worker
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
    && python -m pip --python /opt/callworker/bin/python install --no-deps --no-index /wheels/*.whl \
    && /opt/callworker/bin/python -m compileall -q /opt/callworker


FROM python:3.13.14-slim-bookworm
RUN python -m pip uninstall --yes --quiet --root-user-action ignore pip \
    && rm -rf /usr/local/lib/python3.13/ensurepip \
    && groupadd --gid 10001 callworker \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /var/lib/callworker --shell /usr/sbin/nologin callworker \
    && install --directory --owner 10001 --group 10001 --mode 0700 /var/lib/callworker

COPY --from=build /opt/callworker /opt/callworker
ENV PATH="/opt/callworker/bin:$PATH" \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CALLWORKER_STATE_DIR=/var/lib/callworker \
    METRICS_HOST=0.0.0.0

# The operator's files are looked for in ./config: mount them at /etc/callworker/config.
WORKDIR /etc/callworker
USER 10001:10001
EXPOSE 9808
STOPSIGNAL SIGTERM

HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.build_opener(u.ProxyHandler({})).open('http://127.0.0.1:' + os.environ.get('METRICS_PORT', '9808') + '/livez', timeout=4)"]

ENTRYPOINT ["callworker"]
CMD ["run"]
