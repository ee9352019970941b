"""What calls cost: tokens and prices."""
