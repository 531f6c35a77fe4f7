"""Recipes for property-based tests: any that is valid."""

from __future__ import annotations

from hypothesis import strategies as st

names = st.sampled_from(["left", "right", "top", "a.b", "c-1"])
thresholds = st.none() | st.floats(0, 6)
products = st.fixed_dictionaries(
    {"bundle": st.sampled_from(["b1", "b2", "b3"])},
    optional={
        "threshold": st.floats(0, 6),
        "region": st.fixed_dictionaries({"x": st.integers(0, 99), "y": st.integers(0, 99)}),
    },
)
masks = st.lists(
    st.one_of(
        st.tuples(*[st.integers(0, 500)] * 2, *[st.integers(1, 500)] * 2).map(lambda box: {"rectangle": box}),
        st.lists(st.tuples(st.integers(0, 500), st.integers(0, 500)), min_size=3, max_size=5).map(
            lambda corners: {"polygon": tuple(corners)}
        ),
    ),
    max_size=2,
).map(tuple)
camera_keys = {
    "masks": masks,
    "deadline_ms": st.floats(1, 100),
    "threads": st.integers(0, 4),
    "frames": st.sampled_from(["newest", "every"]),
}
policies = st.sampled_from([{}, {"policy": "part"}, {"policy": "stream"}, {"policy": "stream", "confirm": "2/3"}])
judged = st.one_of(
    products,
    st.dictionaries(names, products, min_size=1, max_size=3).map(
        lambda found: {"products": found, "default_product": sorted(found)[0]}
    ),
)
triggers = st.sampled_from(["free", "motion", "hardware", "mqtt", "modbus"])
cameras = st.builds(
    lambda keys, policy, what, trigger, uri: {**keys, **policy, **what, "trigger": trigger, "uri": uri},
    st.fixed_dictionaries({}, optional=camera_keys),
    policies,
    judged,
    triggers,
    st.sampled_from(["0", "1", "rtsp://10.0.0.3/live", "sample://ring"]),
)
sinks = st.one_of(
    st.sampled_from(["/a.jsonl", "/b.jsonl"]).map(lambda path: {"type": "jsonl", "path": path}),
    st.sampled_from(["broker", "other"]).map(lambda host: {"type": "mqtt", "host": host}),
    st.just({"type": "modbus"}),
)


def _named(tables):
    return tuple({**table, "name": name} for name, table in tables.items())


def _with_what_triggers_need(recipe):
    types = {sink["type"] for sink in recipe["sink"]}
    usable = {"free", "motion", "hardware", *types}
    fitting = tuple(
        camera if camera["trigger"] in usable else {**camera, "trigger": "free"} for camera in recipe["camera"]
    )
    return {**recipe, "camera": fitting}


recipe_data = st.fixed_dictionaries(
    {
        "camera": st.dictionaries(names, cameras, min_size=1, max_size=3).map(_named),
        "sink": st.dictionaries(names, sinks, max_size=3).map(_named),
    },
    optional={
        "archive": st.fixed_dictionaries({"folder": st.just("/archive"), "quota_gb": st.floats(1, 100)}),
        "outbox": st.fixed_dictionaries({"retention_days": st.floats(0, 9)}),
        "monitor": st.just({}),
    },
).map(_with_what_triggers_need)
