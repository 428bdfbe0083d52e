"""A handful of linear equations, solved so that no unknown is negative."""

from collections.abc import Sequence

Vector = tuple[float, ...]


def nonnegative_solution(gram: Sequence[Sequence[float]], moment: Sequence[float]) -> list[float]:
    """Least squares from its normal equations; `gram` is symmetric and positive definite.

    Unknowns that would be negative are held at 0, the most negative first, until none is: exact
    unless several unknowns trade places, and then still feasible and near (compare Lawson and
    Hanson, 1974, chapter 23).
    """
    free = list(range(len(moment)))
    while free:
        solved = _solution([[gram[i][j] for j in free] for i in free], [moment[i] for i in free])
        worst = min(range(len(free)), key=solved.__getitem__)
        if solved[worst] >= 0.0:
            break
        del free[worst]
    solution = [0.0] * len(moment)
    for place, value in zip(free, solved if free else (), strict=True):
        solution[place] = value
    return solution


def _solution(matrix: list[list[float]], right: list[float]) -> list[float]:
    """Gaussian elimination; a positive definite matrix needs no pivoting."""
    size = len(right)
    for i in range(size):
        pivot = matrix[i][i]
        for j in range(i + 1, size):
            factor = matrix[j][i] / pivot
            if factor:
                row, above = matrix[j], matrix[i]
                for k in range(i, size):
                    row[k] -= factor * above[k]
                right[j] -= factor * right[i]
    solved = [0.0] * size
    for i in reversed(range(size)):
        known = sum(matrix[i][j] * solved[j] for j in range(i + 1, size))
        solved[i] = (right[i] - known) / matrix[i][i]
    return solved
