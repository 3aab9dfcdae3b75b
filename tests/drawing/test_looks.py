"""Looks: sizes in order, other things apart."""

from matplotlib.colors import to_rgb

from fae.drawing import looks


def lightness(colour: str) -> float:
    red, green, blue = to_rgb(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_sizes_are_darker_the_larger_they_are_whatever_their_order() -> None:
    found = looks.in_order([512, 64, 256, 128])
    assert found == looks.in_order([64, 128, 256, 512, 64])
    shades = [lightness(look.colour) for look in found.values()]
    assert list(found) == [64, 128, 256, 512]
    assert shades == sorted(shades, reverse=True)
    assert shades[0] < 0.7
    assert len({look.marker for look in found.values()}) == 4


def test_a_size_has_its_colour_whatever_stands_beside_it() -> None:
    alone, among = looks.in_order([64]), looks.in_order([2, 32, 64, 100_000])
    assert alone[64].colour == among[64].colour
    assert len({look.colour for look in among.values()}) == 4
    beyond = looks.in_order([0.5, looks.SMALLEST, looks.LARGEST, 1e9])
    assert len({look.colour for look in beyond.values()}) == 2


def test_other_things_have_their_own_colours_and_markers() -> None:
    found = looks.apart([f"{i}" for i in range(8)])
    assert len(set(found.values())) == 8
    sizes = {look.colour for look in looks.in_order(range(1, 9)).values()}
    assert sizes.isdisjoint(look.colour for look in found.values())
