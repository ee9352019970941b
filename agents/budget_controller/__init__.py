"""The budget controller splits the money, sees the plateau coming, and stops the loop."""
