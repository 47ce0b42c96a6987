"""From a site's scanner images to a folder that training reads: `lesionfed-site prepare`."""
