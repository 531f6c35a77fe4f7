"""An RTSP camera on loopback, by gst-rtsp-server: a program for the Python that has GObject introspection.

    /usr/bin/python3 rtsp_server.py PORT '( videotestsrc is-live=true ! x264enc ! rtph264pay name=pay0 pt=96 )'

It serves what the pipeline gives at rtsp://127.0.0.1:PORT/live, from its beginning for the first who connects; those
who come while somebody watches join in. `rig.camera_servers` starts it.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402  the versions are asked for first

Gst.init(None)
port, pipeline = sys.argv[1:]
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(pipeline)
factory.set_shared(True)
server = GstRtspServer.RTSPServer()
server.set_address("127.0.0.1")
server.set_service(port)
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
GLib.MainLoop().run()
