"""Arrays, the accelerator and threads: what every computation rests on."""
