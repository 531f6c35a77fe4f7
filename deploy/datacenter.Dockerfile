# edgerd on a server or workstation with an NVIDIA GPU (Turing and later): TensorRT 10.13, CUDA 13.0, Python 3.12.
#
#   docker build -f deploy/datacenter.Dockerfile -t edgerd .
#   docker run --rm --gpus all edgerd doctor
#
# The host's driver must support CUDA 13 (580 or later). For CUDA 12.8, add
# --build-arg BASE=nvcr.io/nvidia/tensorrt:25.03-py3
ARG BASE=nvcr.io/nvidia/tensorrt:25.08-py3
FROM ${BASE}

# libgl1 and libglib2.0-0t64 are for OpenCV
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        build-essential libgl1 libglib2.0-0t64 python3-dev python3-pip python3-venv \
    && rm -rf /var/lib/apt/lists/*

ENV PATH=/opt/edgerd/bin:/usr/local/cuda/bin:$PATH \
    CUDA_ROOT=/usr/local/cuda \
    XDG_CACHE_HOME=/var/cache

# --system-site-packages: the bindings of TensorRT belong to the image's Python
RUN python3 -m venv --system-site-packages /opt/edgerd && pip install --no-cache-dir --upgrade pip
COPY . /src
RUN pip install --no-cache-dir "/src[tensorrt,line]" && python -c "import tensorrt; print(tensorrt.__version__)"

# engines, timings and kernels built on this machine; a volume, so that they outlive the container
VOLUME ["/var/cache/edgerd", "/line"]
WORKDIR /line
ENTRYPOINT ["edgerd"]
CMD ["doctor"]
