# A static binary in an empty image: no shell, no libc, no package to patch.
#
#     docker build -t respgate .

FROM docker.io/library/rust:1-bookworm AS build
WORKDIR /src
COPY . .
# With an explicit target, the flag is for the program alone and not for build scripts and macros, which must be dynamic.
RUN target=$(rustc -vV | sed -n 's/^host: //p') \
    && RUSTFLAGS='-C target-feature=+crt-static' cargo build --release --locked --bin respgate --target "$target" \
    && install -D "target/$target/release/respgate" /image/respgate
# For the admin socket of whoever it runs as. A tmpfs there has the same mode.
RUN install -d -m 1777 /image/run/respgate
# For a tunnel's socket: a volume that is mounted there while it is new is given the owner and the mode of this.
RUN install -d -m 0755 /image/run/redis-tls

FROM scratch
COPY --from=build --chown=65532:65532 /image/ /
# Large buffers go back to the system as soon as they are freed, so that memory-budget bounds what is resident.
ENV GLIBC_TUNABLES=glibc.malloc.mmap_threshold=131072
ENV RESPGATE_ADMIN_LISTEN=/run/respgate/admin.sock
# A number, because an empty image has no names; Kubernetes' runAsNonRoot wants one as well.
USER 65532:65532
EXPOSE 6380
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s CMD ["/respgate", "health"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["/respgate"]
CMD ["run"]
