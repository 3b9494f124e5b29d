"""How Django itself writes dates and times, on the pages that are its own."""
