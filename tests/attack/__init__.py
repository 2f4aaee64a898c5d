"""The suite of attempts: hostile programs in sandboxes, with every defence and with single ones left out."""
