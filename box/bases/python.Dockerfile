# A stand-in for python:3.11-slim-bookworm on machines that reach Debian's archive but no image registry.
# The build context is a folder with the rootfs.tar that python-rootfs wrote.
FROM scratch
ADD rootfs.tar /
ENV LANG=C.UTF-8
CMD ["python3"]
