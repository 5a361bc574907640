# Slipway's images, one target each: operator, router, transformer, ledger, triton-cpu, storage-initializer.
# docs/design/images.md says what is in them; box/slipway_box/images.py builds them without a container engine.
#
# Every target copies its files out of a builder stage and runs nothing itself, so that no pip, cache or build setting is left in it.
ARG PYTHON_BASE=python:3.11-slim-bookworm

# pip lives in an environment of its own and installs into the one that is shipped.
FROM ${PYTHON_BASE} AS builder
RUN python3 -m venv /opt/pip && python3 -m venv --without-pip /opt/venv
ENV INSTALL="/opt/pip/bin/pip --python /opt/venv/bin/python install --no-cache-dir --disable-pip-version-check --require-hashes"

# What the images have in common. 1000 is a user without a name; /tmp and mounted volumes are all that it may write to.
FROM ${PYTHON_BASE} AS runtime
ARG VERSION=0.0.0
LABEL org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.vendor="Slipway" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/venv/bin:${PATH} \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp
WORKDIR /tmp
USER 1000:1000


FROM builder AS operator-builder
COPY requirements/operator.txt /requirements.txt
RUN ${INSTALL} --requirement /requirements.txt
# Plain packages: on the environment's path they are installed, and no build backend has to be fetched.
COPY operator/ /opt/venv/lib/python3.11/site-packages/
RUN /opt/venv/bin/python -m compileall -q /opt/venv/lib/python3.11/site-packages/slipway_*

FROM runtime AS operator
LABEL org.opencontainers.image.title="slipway operator" \
      org.opencontainers.image.description="Reconciles ModelDeployments, Experiments and RetrainPolicies"
COPY --from=operator-builder /opt/venv /opt/venv
ENTRYPOINT ["python", "-m", "slipway_operator"]


FROM builder AS router-builder
COPY requirements/router.txt /requirements.txt
RUN ${INSTALL} --requirement /requirements.txt
COPY inference/slipway_service /opt/venv/lib/python3.11/site-packages/slipway_service
COPY inference/slipway_router /opt/venv/lib/python3.11/site-packages/slipway_router
RUN /opt/venv/bin/python -m compileall -q /opt/venv/lib/python3.11/site-packages/slipway_*

# Debian's nginx with Lua: what apt adds to the base is laid out below /opt/nginx, without documentation and without what starts a service.
FROM ${PYTHON_BASE} AS nginx-builder
RUN set -eu; \
    dpkg-query --show --showformat='${Package}\n' | sort > /before; \
    apt-get -qq update; \
    DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends nginx-light libnginx-mod-http-lua lua-cjson; \
    dpkg-query --show --showformat='${Package}\n' | sort | comm -13 /before - > /added; \
    mkdir /opt/nginx; \
    xargs dpkg --listfiles < /added | sed 's|^/lib/|/usr/lib/|' | sort -u \
      | grep -E '^/usr/(sbin/nginx$|lib/[^/]*/lua/5\.1/|lib/nginx/|lib/[^/]*/lib|share/lua/5\.1/|share/luajit)' > /files; \
    while read -r file; do if [ -f "$file" ]; then cp --parents --no-dereference "$file" /opt/nginx; fi; done < /files; \
    mkdir -p /opt/nginx/usr/local/bin; \
    ln -s /opt/venv/lib/python3.11/site-packages/slipway_router/nginx/stop /opt/nginx/usr/local/bin/slipway-router-stop

FROM runtime AS router
LABEL org.opencontainers.image.title="slipway router" \
      org.opencontainers.image.description="Carries requests to models: nginx with Lua, and the agent that feeds it"
COPY --from=nginx-builder /opt/nginx/usr /usr
COPY --from=router-builder /opt/venv /opt/venv
EXPOSE 8080 9000 8081
# The agent's container says: python -m slipway_router.agent
ENTRYPOINT ["python", "-m", "slipway_router.nginx"]


FROM builder AS transformer-builder
COPY requirements/inference.txt /requirements.txt
RUN ${INSTALL} --requirement /requirements.txt
COPY inference/slipway_service /opt/venv/lib/python3.11/site-packages/slipway_service
COPY inference/slipway_inference /opt/venv/lib/python3.11/site-packages/slipway_inference
COPY components/slipway_features /opt/venv/lib/python3.11/site-packages/slipway_features
RUN /opt/venv/bin/python -m compileall -q /opt/venv/lib/python3.11/site-packages/slipway_*; \
    find /opt/venv/lib/python3.11/site-packages/numpy -type d -name tests -prune -exec rm -r {} +

# An image with hooks is built FROM this one: COPY the module anywhere on PYTHONPATH, such as /opt/slipway.
FROM runtime AS transformer
LABEL org.opencontainers.image.title="slipway transformer" \
      org.opencontainers.image.description="Stands before Triton in a pod: validation, features, hooks, labels, a log of predictions"
ENV PYTHONPATH=/opt/slipway
COPY --from=transformer-builder /opt/venv /opt/venv
EXPOSE 8080 8082
ENTRYPOINT ["python", "-m", "slipway_inference"]


FROM builder AS ledger-builder
COPY requirements/ledger.txt /requirements.txt
RUN ${INSTALL} --requirement /requirements.txt
COPY inference/slipway_service /opt/venv/lib/python3.11/site-packages/slipway_service
COPY inference/slipway_ledger /opt/venv/lib/python3.11/site-packages/slipway_ledger
RUN /opt/venv/bin/python -m compileall -q /opt/venv/lib/python3.11/site-packages/slipway_*

FROM runtime AS ledger
LABEL org.opencontainers.image.title="slipway ledger" \
      org.opencontainers.image.description="Keeps exposures, outcomes and labels of experiments, and answers their sums"
COPY --from=ledger-builder /opt/venv /opt/venv
EXPOSE 8080 8082
ENTRYPOINT ["python", "-m", "slipway_ledger"]


FROM builder AS triton-cpu-builder
COPY requirements/triton-cpu.txt /requirements.txt
RUN ${INSTALL} --no-deps --requirement /requirements.txt
# Triton's own layout, where it looks for backends and caches without being told. Of the six python versions one is kept.
RUN set -eu; \
    packages=/opt/venv/lib/python3.11/site-packages; \
    wheel=$packages/pytriton/tritonserver; \
    mkdir -p /opt/tritonserver; \
    mv $wheel/bin $wheel/backends $wheel/caches /opt/tritonserver/; \
    mv $wheel/python_backend_stubs/3.11/triton_python_backend_stub /opt/tritonserver/backends/python/; \
    mv $packages/nvidia_pytriton.libs /opt/tritonserver/lib; \
    rm -r /opt/tritonserver/lib/libpython3-*.so* $packages/pytriton $packages/nvidia_pytriton-*; \
    rm -r $packages/onnxruntime/transformers $packages/onnxruntime/tools $packages/onnxruntime/quantization; \
    find $packages/numpy -type d -name tests -prune -exec rm -r {} +
COPY inference/triton/backends /opt/tritonserver/backends

FROM runtime AS triton-cpu
LABEL org.opencontainers.image.title="slipway triton-cpu" \
      org.opencontainers.image.description="Triton Inference Server for CPUs, with an onnxruntime backend written in Python"
ENV PATH=/opt/tritonserver/bin:${PATH} \
    LD_LIBRARY_PATH=/opt/tritonserver/lib
COPY --from=triton-cpu-builder /opt/tritonserver /opt/tritonserver
COPY --from=triton-cpu-builder /opt/venv /opt/venv
COPY inference/triton/serve /usr/local/bin/serve
EXPOSE 8080 9000 8002
ENTRYPOINT ["serve"]


FROM builder AS storage-initializer-builder
COPY requirements/storage-initializer.txt /requirements.txt
RUN ${INSTALL} --requirement /requirements.txt
COPY inference/storage_initializer /opt/slipway

FROM runtime AS storage-initializer
LABEL org.opencontainers.image.title="slipway storage-initializer" \
      org.opencontainers.image.description="Downloads a model before its server starts and says in one line why it could not"
COPY --from=storage-initializer-builder /opt/venv /opt/venv
COPY --from=storage-initializer-builder /opt/slipway /opt/slipway
ENTRYPOINT ["python", "/opt/slipway/storage_initializer.py"]
