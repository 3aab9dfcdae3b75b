"""What the paper published: "Red feed-forward auto-encoder", Fredriks, Micucci and
Ochotorena, Universidad Nacional de La Plata, 7 December 2023."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """A column of the paper's table; one run each.

    Attributes:
        test_mse: mean squared error over the test images, pixels in [0, 1].
        seconds: training time, on a machine that is not named.
    """

    test_mse: float
    seconds: float


RESULTS = {
    64: Published(0.0414, 417.2),
    128: Published(0.0328, 412.9),
    256: Published(0.0274, 416.8),
    512: Published(0.0240, 420.3),
}
"""By the number of hidden units."""
