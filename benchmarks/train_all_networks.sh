#!/usr/bin/env bash
# Trains all eight networks of the paper with ReLU and Swish, a few steps each, kills each one
# once and lets it go on: CIFAR's form and ImageNet's, real JPEGs. About an hour on two cores.
# Arguments go to pytest, as in: benchmarks/train_all_networks.sh -k mobilenet
set -euo pipefail
cd "$(dirname "$0")/.."
exec pytest -m slow -v --durations=0 tests/train/test_programs_slow.py "$@"
