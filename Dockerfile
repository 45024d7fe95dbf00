# syntax=docker/dockerfile:1
# One image for every service and run, for linux/amd64 and linux/arm64; what it does is its command.
ARG PYTHON=3.12

FROM python:${PYTHON}-slim-bookworm AS build
WORKDIR /build
# Compiled once, here: tasks can't write, and builders change the times by which Python would know what is stale.
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYC_INVALIDATION_MODE=UNCHECKED_HASH
# Hyperscan and psycopg2 come as wheels for both architectures: nothing is compiled here.
RUN python -m venv /opt/venv
COPY constraints.txt pyproject.toml README.md ./
RUN /opt/venv/bin/pip install -c constraints.txt uv
# The dependencies first: they change less often than the code.
RUN mkdir -p privacy_assets resources sensors schedules local_aws \
    && /opt/venv/bin/uv pip install --python /opt/venv/bin/python -c constraints.txt --compile-bytecode '.[postgres]'
COPY privacy_assets privacy_assets
COPY resources resources
COPY sensors sensors
COPY schedules schedules
RUN rm -rf local_aws \
    && /opt/venv/bin/uv pip install --python /opt/venv/bin/python --no-deps --compile-bytecode --reinstall-package privacy-assets . \
    && /opt/venv/bin/uv pip uninstall --python /opt/venv/bin/python uv
# Signs the database's certificate, in every region.
ADD https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem rds-ca.pem

FROM python:${PYTHON}-slim-bookworm
LABEL org.opencontainers.image.title="privacy-assets"
RUN groupadd --gid 10001 privacy && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin privacy
COPY --from=build /opt/venv /opt/venv
COPY --from=build --chmod=0444 /build/rds-ca.pem /opt/privacy-assets/rds-ca.pem
COPY deploy /opt/privacy-assets/deploy
COPY audits /opt/privacy-assets/audits
COPY estate.yaml /opt/privacy-assets/estate.yaml
ENV PATH=/opt/venv/bin:$PATH \
    DAGSTER_HOME=/opt/privacy-assets/deploy \
    PRIVACY_ASSETS_ESTATE=/opt/privacy-assets/estate.yaml \
    PRIVACY_ASSETS_AUDITS=/opt/privacy-assets/audits \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    TMPDIR=/tmp
WORKDIR /opt/privacy-assets
USER 10001:10001
VOLUME /tmp
EXPOSE 3000 4000 8000
# Each service's task has a check of its own; this one is for whoever starts the image by hand.
HEALTHCHECK --interval=30s --timeout=20s --start-period=120s \
    CMD ["dagster", "api", "grpc-health-check", "--port", "4000"]
CMD ["dagster", "api", "grpc", "--host", "0.0.0.0", "--port", "4000", "--module-name", "privacy_assets.definitions", "--location-name", "privacy_assets"]
