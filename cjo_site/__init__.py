"""The site: settings, addresses, the admin's look. Apps never import from here."""
