# edgerd on a Jetson with JetPack 6.1 or later (Orin): TensorRT 10.3, CUDA 12.6, Python 3.10.
#
#   docker build -f deploy/jetson-jetpack6.Dockerfile -t edgerd .
#   docker run --rm --runtime nvidia edgerd doctor
#
# TensorRT and its Python bindings come with the image, which must match the device's JetPack: its libraries talk to
# the device's own driver. -devel, not -runtime: pycuda and the kernels are compiled with its CUDA headers and nvcc.
FROM nvcr.io/nvidia/l4t-tensorrt:r10.3.0-devel

# libgl1 and libglib2.0-0 are for OpenCV, GStreamer for csi:// and gst:// cameras, v4l-utils to list cameras
RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        build-essential libgl1 libglib2.0-0 python3-dev python3-pip python3-venv v4l-utils \
        gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good \
    && rm -rf /var/lib/apt/lists/*

ENV PATH=/opt/edgerd/bin:/usr/local/cuda/bin:$PATH \
    CUDA_ROOT=/usr/local/cuda \
    XDG_CACHE_HOME=/var/cache

# --system-site-packages: the bindings of TensorRT belong to the system's Python
RUN python3 -m venv --system-site-packages /opt/edgerd && pip install --no-cache-dir --upgrade pip
COPY . /src
RUN pip install --no-cache-dir "/src[tensorrt,line]" && python -c "import tensorrt; print(tensorrt.__version__)"

# engines, timings and kernels built on this device; a volume, so that they outlive the container
VOLUME ["/var/cache/edgerd", "/line"]
WORKDIR /line
ENTRYPOINT ["edgerd"]
CMD ["doctor"]
