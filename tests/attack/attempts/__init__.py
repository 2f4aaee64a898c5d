"""All attempts, by the promise that they are against."""

from attack.attempt import Attempt
from attack.attempts import files, kernel, platform, processes, resources

GROUPS: dict[str, list[Attempt]] = files.GROUPS | processes.GROUPS | kernel.GROUPS | resources.GROUPS | platform.GROUPS
