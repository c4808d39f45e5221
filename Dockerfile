# The gateway in a container: docs/operations.md, "In a container".

# For a build that can be repeated, name the base by its digest, python:3.11-slim@sha256:...:
# docs/install.md, "Repeatable builds".
ARG BASE=python:3.11-slim

# Everything that is downloaded is pinned by version and hash, and nothing is compiled: a
# package without a wheel for this platform fails the build.
FROM ${BASE} AS build
# Given as a build argument, it dates the wheel, and byte code names its source by hash, not time.
ARG SOURCE_DATE_EPOCH
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /build/tools && python -m venv --without-pip /opt/gateway
WORKDIR /build/source
COPY requirements.lock requirements-build.lock ./
RUN /build/tools/bin/pip install --require-hashes --only-binary :all: -r requirements-build.lock \
 && /build/tools/bin/pip --python /opt/gateway/bin/python install \
      --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
RUN /build/tools/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /build/wheels . \
 && /build/tools/bin/pip --python /opt/gateway/bin/python install --no-deps --no-index \
      /build/wheels/*.whl \
 && /opt/gateway/bin/smpp-gateway --version && mkdir /build/data

FROM ${BASE}
COPY --from=build /opt/gateway /opt/gateway
# The store's place; give it a volume, or unfinished messages end with the container. Nothing
# else is written at run time, so the root file system may be read-only.
COPY --from=build --chown=10001:10001 /build/data /data
VOLUME /data
ENV SMPPGW_STORE__URL=sqlite:////data/gateway.db
ENV PATH=/opt/gateway/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# A number, so that Kubernetes can see that it is not root.
USER 10001:10001
# SMPP, and SMPP in TLS; metrics and health, which listen on loopback unless admin.listen says
# otherwise; callbacks.
EXPOSE 2775 3550 8080 8081
# The first process gets the signal itself and drains; give it longer than drain.timeout.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 \
  CMD ["smpp-gateway", "healthcheck"]
ENTRYPOINT ["smpp-gateway"]
CMD ["serve", "-c", "/etc/smpp-gateway/gateway.toml"]
