"""Writers: each report is a function of (run, writer), and none of them measures anything.

    run folder --data.load--> ReportData --+--> html.write_html            one self-contained page
                                           +--> comparison.write_comparison    several runs, side by side
                                           +--> lab_html, lab_markdown     scaled storms and their predictions
    run.json ------------------------------+--> terminal.print_summary     the last lines of `loadtest run`
    interval lines, marks (live) --------------> live.LiveView | plain.PlainLog
    run.json --facts: no secrets --------------> junit, markdown, openmetrics;   interval lines --> interval_csv
    Comparison (loadtest.compare) -------------> compare_terminal, compare_markdown, compare_html: with statistics

Numbers become words in `wording`, the run becomes one sentence in `story`; every writer shares both.
"""
