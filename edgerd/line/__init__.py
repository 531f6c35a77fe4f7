"""From cameras to alerts: the frames of all cameras, judged by one thread.

line          cameras in, verdicts and events out: the loop
feed          one camera of it: its frames, its guards, what is said of them
mailbox       the newest frame of a camera, for whoever judges
decision      verdicts -> alerts, for parts and for streams
record        what is said: events, and a line per frame
observer      who watches, in a thread of its own, and never holds the line up
statistics    what is counted
summary       what is said at the end
"""
