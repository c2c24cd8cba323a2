# One image for each program: the release build of it on a base that has no more than glibc needs.
# The build context is a folder with the program alone: see e2e/cluster/images.sh.
ARG BASE=gcr.io/distroless/cc-debian12:nonroot
FROM ${BASE}
ARG BIN
COPY ${BIN} /usr/local/bin/program
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/program"]
