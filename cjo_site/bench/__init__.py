"""How fast the API takes what is sent, and how soon it stands in the queue: beside what the same machine does
without the product. All in processes of its own, on a database of its own.
"""
