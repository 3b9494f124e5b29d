"""The gate as an API, and what all of the API shares: who calls, errors, pages, its schema."""
