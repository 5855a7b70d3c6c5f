"""Archives of test cases that depend on nothing but their contents."""

import gzip
import io
import tarfile


class Archive:
    """A .tar.gz whose entries have no owner and no time."""

    def __init__(self, path):
        self.path = path

    def __enter__(self):
        self.out = open(self.path, "wb")
        self.gzip = gzip.GzipFile("", "wb", 9, self.out, mtime=0)
        self.tar = tarfile.TarFile(fileobj=self.gzip, mode="w", format=tarfile.USTAR_FORMAT)
        return self

    def add(self, name, data):
        entry = tarfile.TarInfo(name)
        entry.size = len(data)
        self.tar.addfile(entry, io.BytesIO(data))

    def __exit__(self, *_):
        self.tar.close()
        self.gzip.close()
        self.out.close()
