#!/usr/bin/env python3
"""Stand-in for Watchtower: asks Docker, through DOCKER_HOST, what runs and of which image, says so every minute, and updates nothing."""
import os
import sys
import time

import standin

DOCKER = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
SECONDS = 60


def look():
    """One line for each container; each question is one that Watchtower itself asks."""
    for container in standin.docker(DOCKER, "/containers/json"):
        details = standin.docker(DOCKER, f"/containers/{container['Id']}/json")
        image = standin.docker(DOCKER, f"/images/{details['Image']}/json")
        standin.log("container", name=details["Name"].strip("/"), image=details["Config"]["Image"], digests=image.get("RepoDigests"))


def main():
    """Looks for ever; at the start Docker must answer."""
    if "--health-check" in sys.argv[1:]:
        return 0
    standin.announce("Watchtower 1.12.1", "that a new version is found or reported, to Slack or anywhere, "
                                          "or that Watchtower needs no right which the socket proxy refuses")
    try:
        standin.docker(DOCKER, "/version")
    except OSError as error:
        return f"watchtower stand-in: {error}"
    while True:
        try:
            look()
        except OSError as error:
            standin.log("docker does not answer", error=str(error))
        time.sleep(SECONDS)


if __name__ == "__main__":
    sys.exit(main())
