"""Names beside the points of a chart, placed so that they cover neither points nor each other."""

from collections.abc import Sequence

Box = tuple[float, float, float, float]  # left, bottom, right, top

DISTANCE = 7.0  # of a name from its point
POINT = 5.0  # half the side of the square around a point that stays free


def place_labels(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    frame: Box,
    obstacles: Sequence[Box] = (),
) -> list[Box]:
    """Find a place for each name: right, left, above or beneath its point, or at one of the corners.

    Args:
        points: x and y, in any unit of length, y upwards.
        sizes: width and height of each name, in the same unit.
        frame: in which names should stay.
        obstacles: what they should not cover, either.

    Returns:
        the names' boxes; where every place is taken, the one that covers least.
    """
    taken = [(x - POINT, y - POINT, x + POINT, y + POINT) for x, y in points]
    boxes: list[Box] = []
    for number, (point, size) in enumerate(zip(points, sizes, strict=True)):
        others = [*taken[:number], *taken[number + 1 :], *boxes, *obstacles]
        costs = {box: _covered(box, others) + _outside(box, frame) for box in _places(point, size)}
        boxes.append(min(costs, key=costs.__getitem__))
    return boxes


def _places(point: tuple[float, float], size: tuple[float, float]) -> list[Box]:
    (x, y), (width, height) = point, size
    near = 0.75 * DISTANCE
    corners = [
        (x + DISTANCE, y - height / 2),
        (x - DISTANCE - width, y - height / 2),
        (x - width / 2, y + DISTANCE),
        (x - width / 2, y - DISTANCE - height),
        (x + near, y + near - height / 4),
        (x + near, y - near - 3 * height / 4),
        (x - near - width, y + near - height / 4),
        (x - near - width, y - near - 3 * height / 4),
    ]
    return [(left, bottom, left + width, bottom + height) for left, bottom in corners]


def _covered(box: Box, others: Sequence[Box]) -> float:
    """The area that a box shares with others."""
    area = 0.0
    for other in others:
        width, height = min(box[2], other[2]) - max(box[0], other[0]), min(box[3], other[3]) - max(box[1], other[1])
        area += max(width, 0) * max(height, 0)
    return area


def _outside(box: Box, frame: Box) -> float:
    """The area of a box that is outside the frame."""
    return (box[2] - box[0]) * (box[3] - box[1]) - _covered(box, [frame])
