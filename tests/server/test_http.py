#!/usr/bin/env python3
"""`serveloop serve` as any HTTP client meets it.

usage: test_http.py SERVELOOP SOURCE_ROOT BUILD_ROOT
"""
import sys

sys.dont_write_bytecode = True

import bad_requests
import connections
import endpoints
import generation
import host_tier
import lifecycle
import stage
import tenants

if __name__ == '__main__':
    stage.set_up(*sys.argv[1:4])
    stage.run(endpoints, bad_requests, generation, connections, lifecycle, tenants, host_tier)
