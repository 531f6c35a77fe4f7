"""From pictures to an engine in three calls, for notebooks and scripts; the commands of these names stand on the same.

run = edgerd.train("pictures/good", "run")
bundle = edgerd.export(run, "bundle")
bundle = edgerd.build_engine(bundle)
"""
