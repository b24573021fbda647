"""The tabs under plain `locust -f`: Locust leads, the pages watch.

Law: nothing of this is loaded unless Locust has a web UI.
"""

from __future__ import annotations

from locust.env import Environment

from loadtest.web.locust_page import base_path_of, dress, runs_folder
from loadtest.web.pages import Pages
from loadtest.web.shelf import Shelf
from loadtest.web.storm import Storm
from loadtest.web.watch import Watch
from loadtest.web.wording import HERDS, SHOWN


def show(environment: Environment, out: str) -> Watch:
    """Add our tabs to the web UI of `environment`; return who watches its runs, for `attach`.

    Args:
        out: the folder of runs.
    """
    web_ui = environment.web_ui
    assert web_ui is not None
    watch = Watch()
    pages = Pages(watch, Storm(watch), Shelf(runs_folder(out)))
    pages.add_to(web_ui, base_path_of(environment.parsed_options))
    dress(web_ui, watch, (SHOWN, HERDS), web_ui.update_template_args)
    return watch
