"""Everything a call needs, started together: log, media, exchange, stand-ins and Callweave's own services."""
