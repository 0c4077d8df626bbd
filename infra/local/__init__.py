"""Run the whole system on one machine: the AWS emulator, and the HTTP server in front of it."""
