"""What the fault injection and the soak have in common: cameras, receivers and a line that can be killed.

bundles     small bundles of sample parts, made once
pictures    a pool of pictures, each with a score of its own, by which a verdict says which picture it speaks of
camera      an HTTP camera that sends them, and can be switched off, cut off and hung
camera_servers, rtsp_server, network_cameras
            RTSP and GenICam cameras, each a program of its own that can be killed and stopped
webhook     a receiver of web hooks that can be away or cut requests
broker      Mosquitto, somebody who listens there, and a proxy that cuts connections
line        `edgerd run --recipe` as a process of its own
records     what a line and its receivers have written down, compared with what the cameras sent
"""
