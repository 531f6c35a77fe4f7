# edgerd on a Jetson with JetPack 7 (Thor): TensorRT 10.13, CUDA 13.0, Python 3.12.
#
#   docker build -f deploy/jetson-jetpack7.Dockerfile -t edgerd .
#   docker run --rm --runtime nvidia edgerd doctor
#
# From JetPack 7 on, Jetsons run the same Arm images as servers (https://developer.nvidia.com/blog/
# whats-new-in-cuda-toolkit-13-0-for-jetson-thor-unified-arm-ecosystem-and-more). Take a later tag for a later JetPack.
ARG BASE=nvcr.io/nvidia/tensorrt:25.08-py3
FROM ${BASE}

# libgl1 and libglib2.0-0t64 are for OpenCV, GStreamer for csi:// and gst:// cameras, v4l-utils to list cameras
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        build-essential libgl1 libglib2.0-0t64 python3-dev python3-pip python3-venv v4l-utils \
        gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
    && rm -rf /var/lib/apt/lists/*

ENV PATH=/opt/edgerd/bin:/usr/local/cuda/bin:$PATH \
    CUDA_ROOT=/usr/local/cuda \
    XDG_CACHE_HOME=/var/cache

# --system-site-packages: the bindings of TensorRT belong to the image's Python
RUN python3 -m venv --system-site-packages /opt/edgerd && pip install --no-cache-dir --upgrade pip
COPY . /src
RUN pip install --no-cache-dir "/src[tensorrt,line]" && python -c "import tensorrt; print(tensorrt.__version__)"

# engines, timings and kernels built on this device; a volume, so that they outlive the container
VOLUME ["/var/cache/edgerd", "/line"]
WORKDIR /line
ENTRYPOINT ["edgerd"]
CMD ["doctor"]
