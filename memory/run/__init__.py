"""The parts of a run: its rows, labels, money, events, commands; and who drives it."""
