"""What acts cost, as ratios to peers and as times, each measured in one run; `make bench` measures all."""
