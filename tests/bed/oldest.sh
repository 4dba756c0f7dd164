#!/bin/bash
# The oldest control plane that is supported: see control-plane.sh.
exec "$(dirname "${BASH_SOURCE[0]}")/control-plane.sh" oldest
