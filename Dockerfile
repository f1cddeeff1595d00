# Images of rasae.
#
#   docker build -t rasaed .                          the daemon; the build runs the unit tests
#   docker build -t rasae --target trainer .          the trainer
#   docker run -p 8080:8080 -v "$PWD/models:/mnt/models:ro" --read-only rasaed
#
# build -> test -> collect -> (trainer | rasaed). The last two hold one program and the shared libraries that it
# needs, and nothing else: no shell, no package manager. The list of these libraries lies where scanners look for
# it. deploy/container/Dockerfile.cuda makes the same images for NVIDIA GPUs; deploy/README.md explains both.

FROM debian:trixie-slim AS build
WORKDIR /src
COPY deploy/install-deps deploy/
RUN sh deploy/install-deps --build
COPY . .
RUN make -j"$(nproc)"

FROM build AS test
RUN make -j"$(nproc)" check-fast

# The file systems of the two images, with the programs that were tested.
FROM test AS collect
RUN deploy/container/collect /images/rasaed build/rasaed && mkdir -p /images/rasaed/mnt/models \
    && deploy/container/collect /images/rasae build/rasae && mkdir -p /images/rasae/data

FROM scratch AS trainer
LABEL org.opencontainers.image.title="rasae" \
      org.opencontainers.image.description="Trains Relaxed Archetypal SAE dictionaries" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"
COPY --from=collect /images/rasae /
USER 65532:65532
WORKDIR /data
ENTRYPOINT ["/usr/bin/rasae"]
CMD ["--help"]

FROM scratch AS rasaed
LABEL org.opencontainers.image.title="rasaed" \
      org.opencontainers.image.description="Serves Relaxed Archetypal SAE dictionaries over HTTP" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"
COPY --from=collect /images/rasaed /
# The daemon serves every NAME.safetensors in this folder as NAME.
ENV RASAED_LISTEN=0.0.0.0:8080 \
    RASAED_DICTIONARY_DIR=/mnt/models
USER 65532:65532
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=5m \
    CMD ["/usr/bin/rasaed", "--probe", "http://127.0.0.1:8080/health/ready"]
ENTRYPOINT ["/usr/bin/rasaed"]
