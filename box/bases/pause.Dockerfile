# The sandbox container of every pod: it holds the pod's namespaces open and does nothing else.
# The build context is a folder with Debian's static busybox in it.
FROM scratch
COPY busybox /bin/busybox
LABEL org.opencontainers.image.title="slipway pause" \
      org.opencontainers.image.description="Holds a pod's namespaces open until it is told to stop"
USER 65535:65535
# Process 1 ignores a signal that it has no handler for, so a bare sleep would outlive every SIGTERM until it is killed.
ENTRYPOINT ["/bin/busybox", "sh", "-c", "trap 'exit 0' TERM INT; /bin/busybox sleep infinity & wait $!"]
