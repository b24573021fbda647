"""The schema of `profiles/*.toml`, validated whole: all errors at once, each with its key and what is allowed."""

from loadtest.profile.channels import ChannelPlan
from loadtest.profile.client import Client
from loadtest.profile.faults import CommandFault, DeployFault, DropFault, Fault, HttpFault, RolloutFault
from loadtest.profile.loader import load_as_run, load_profile, parse_profile
from loadtest.profile.model import Profile
from loadtest.profile.population import ChannelGroup, Population
from loadtest.profile.scale import Cure, Scale
from loadtest.profile.section import HttpRequest
from loadtest.profile.shelf import find_profile, shipped_profiles
from loadtest.profile.target import Bootstrap, Target, Tls
from loadtest.profile.timeline import Phases, Ramp, Reconnect, Recovery
from loadtest.profile.traffic import Publish, Subscribe

__all__ = [
    "Bootstrap",
    "ChannelGroup",
    "ChannelPlan",
    "Client",
    "CommandFault",
    "Cure",
    "DeployFault",
    "DropFault",
    "Fault",
    "HttpFault",
    "HttpRequest",
    "Phases",
    "Population",
    "Profile",
    "Publish",
    "Ramp",
    "Reconnect",
    "Recovery",
    "RolloutFault",
    "Scale",
    "Subscribe",
    "Target",
    "Tls",
    "find_profile",
    "load_as_run",
    "load_profile",
    "parse_profile",
    "shipped_profiles",
]
