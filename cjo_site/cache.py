"""The cache, in files: web and worker are several processes, and see the same."""

import pickle
import time
import zlib

from django.core.cache.backends.filebased import FileBasedCache
from django.core.files import locks


class FileCache(FileBasedCache):
    """Counts that hold with many hands. Django's own reads and then writes, so that of two counts made at the
    same moment one is lost, and each count puts off when the value ends.

    A count is rewritten in its place, under a lock. `get` takes no lock: what is counted is read by counting.
    """

    def incr(self, key, delta=1, version=None):
        try:
            with open(self._key_to_file(key, version), "r+b") as file:
                locks.lock(file, locks.LOCK_EX)
                expiry = pickle.load(file)  # noqa: S301 - as Django's own: what lies there, we wrote
                if expiry is not None and expiry < time.time():
                    raise ValueError(f"Key {key!r} not found")
                begins = file.tell()
                value = pickle.loads(zlib.decompress(file.read())) + delta  # noqa: S301 - the same
                file.seek(begins)
                file.write(zlib.compress(pickle.dumps(value, self.pickle_protocol)))
                file.truncate()
                return value
        except FileNotFoundError:
            raise ValueError(f"Key {key!r} not found") from None
