"""What the black-box tests share: a real server, real clients, packages, bounded waits."""
