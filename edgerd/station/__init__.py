"""A line as a recipe describes it, opened and running: what `edgerd run --recipe` is.

check       a recipe tried on one frame of each camera, nothing sent
station     all of it together: open, run, take over a changed recipe, say how it does
engines     bundles -> inspectors, one engine for all cameras that share it
feeds       the recipe's cameras -> feeds of a line
changes     what the thread that judges does when the recipe has changed
snapshots   how cameras, engines and disk do, for the monitor
outgoing    the outbox and its sinks, which may change while the line runs
commanded   triggers and change-overs over HTTP and MQTT
audited     what happens to cameras, in the audit trail
links       PLCs: what they ask for, what they are told
"""
