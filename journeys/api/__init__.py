"""The domain as an API: what a CRM, a help desk or a product's event stream reads and sends."""
