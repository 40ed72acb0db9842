FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY notifier notifier
RUN python -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir -c constraints.txt '.[postgres]'

FROM python:3.13-slim
RUN useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin notifier \
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/notifier
COPY --from=build /opt/venv /opt/venv
# Each thread has the C library keep what it once needed for itself: two such hoards instead of one a thread save some 20 MiB.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 NOTIFIER_CONFIG=/etc/notifier/notifier.yaml MALLOC_ARENA_MAX=2
USER 10001
WORKDIR /var/lib/notifier
VOLUME /var/lib/notifier
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8080/healthz', timeout=4)"]
ENTRYPOINT ["notifier"]
CMD ["run"]
