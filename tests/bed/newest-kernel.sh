#!/bin/bash
# The kernel of guests with a control plane or a whole cluster: see kernel.sh.
exec "$(dirname "${BASH_SOURCE[0]}")/kernel.sh" --newest
