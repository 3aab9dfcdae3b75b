"""The archive of CIFAR-10, as Krizhevsky published it for Python."""

from fae.data.published import Published, PublishedFiles

ARCHIVE = "cifar-10-python.tar.gz"

files = PublishedFiles(
    title="CIFAR-10",
    subfolder="",
    layout=ARCHIVE,
    training_images=50_000,
    FILES={
        ARCHIVE: Published(
            170_498_071, "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
        )
    },
    SERVERS=["https://www.cs.toronto.edu/~kriz/"],
)
