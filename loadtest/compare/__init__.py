"""Versions compared: runs in, verdicts out, as values. Pure statistics; nothing here prints, draws or runs anything.

    run folders --group.gather--> Group, Group --comparison.compare--> Comparison
        figures of a metric, one per run ---> sample.Pair --interval, effect--> difference, ratio, delta, MDE
        neighbours in time             ---> blocks ----> drift of the machine taken out
        all metrics together           ---> permutation --> p held over the family --verdict--> better | worse | ...
        caveats (profiles, machines, clocks, order) are values beside the verdicts
    Comparison --gate.pass_or_stop--> exit code and one sentence
    runs of a profile --history.trace, change_points--> where a metric changed
    interleaving: the order in which a benchmark runs versions

Laws: the unit of replication is the run. What was left out of a statistic is named in it. A comparison is always with
the first group, the baseline.

Source: METRICS, "Comparing versions"; after golang/perf's benchmath in that warnings are values.
"""
