#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""wpt_server.py SUITE: serves a folder of web platform tests with wptserve (PyPI), whose handlers many tests of fetch ask.

Two ports of loopback (tests of origins want two) are printed as "ports P Q". It ends with its standard input."""
import logging
import os
import sys

from wptserve.config import ConfigBuilder
from wptserve.request import Server
from wptserve.server import WebTestHttpd
from wptserve.stash import StashServer

HOST = "localhost"


def main():
    root = sys.argv[1]
    logger = logging.getLogger("wptserve")
    logger.addHandler(logging.NullHandler())
    # the folder as a package's parent: handlers import what lies beside them
    sys.path.insert(0, root)
    servers = [WebTestHttpd(host="127.0.0.1", port=0, doc_root=root) for _ in range(2)]
    ports = [server.port for server in servers]
    builder = ConfigBuilder(logger, browser_host=HOST, alternate_hosts={"alt": "127.0.0.1"}, subdomains={"www", "www1", "www2"},
                            ports={"http": ports}, doc_root=root)
    # its threads answer until the process ends
    with StashServer(), builder as config:
        config["ports"]["https"] = ports  # scripts name them; nothing is asked over TLS
        Server.config = config
        for server in servers:
            server.start()
        print("ports", *ports, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
    os._exit(0)
