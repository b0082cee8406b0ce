# evreel with its workflow, at the versions of uv.lock. docs/environments.md shows how to use it.
# .dockerignore says what is copied; tools/container.sh does the work, here and for apptainer.def.
FROM python:3.11-slim-bookworm AS built
COPY . /opt/evreel
RUN /opt/evreel/tools/container.sh install

FROM python:3.11-slim-bookworm
COPY --from=built /opt/evreel /opt/evreel
RUN useradd --create-home --uid 1000 evreel && mkdir /data && chown evreel:evreel /data
USER evreel
WORKDIR /data
ENTRYPOINT ["/opt/evreel/tools/container.sh", "run"]
