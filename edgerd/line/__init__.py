"""From inspections to alerts: a run, frame by frame.

loop          a run from its first frame to its summary
mailbox       the newest frame of a camera, for whoever judges
decision      verdicts -> alerts, for parts and for streams
record        what a run writes down: events, and a line per frame
statistics    what it counts
summary       what it says at the end
"""
