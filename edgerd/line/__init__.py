"""From cameras to alerts: the frames of all cameras, judged by one thread.

line          cameras in, verdicts and events out: the loop
feed          one camera of it, from its frames to what is said of them
inlet         what comes in: the frames that are to be judged, and triggers that got none
pick          which frames are judged: all, every N-th, those that triggers ask for
presence      the same for parts that pass without a trigger
mailbox       the newest frame of a live camera, for whoever judges
source        what a mailbox and the frames of a file have in common
supervised    a live camera that is opened again whenever it is lost
connection    one opening of it
products      what a camera can be told to inspect
judging       what judges a frame, and whether in time
decision      verdicts -> alerts, for parts and for streams
camera_log    what is said of one camera's frames: counted, turned into alerts, told
record        where it is said: sinks of events, logs of a line per frame
observer      who watches, in a thread of its own, and never holds the line up
update        what observers of the frames are told after each
statistics    what is counted
summary       what is said at the end
"""
