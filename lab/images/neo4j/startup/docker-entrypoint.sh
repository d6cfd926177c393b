#!/bin/bash
# `neo4j` (the default): have the server's command line say how Java is started, and become that. Anything else: run it.
set -eu
if [ "${1:-neo4j}" != neo4j ] || [ "$#" -gt 1 ]; then
    exec "$@"
fi
command=$(/var/lib/neo4j/bin/neo4j console --dry-run)
eval "exec ${command}"
