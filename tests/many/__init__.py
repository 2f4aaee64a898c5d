"""What ten thousand functions cost: latencies beside a server with ten, start-up, memory (`make bench-functions`)."""
