"""Make noise once, and tell people and Prometheus: what ``fdr noise`` does."""

from __future__ import annotations

import time

from fdr.alone import alone
from fdr.errors import ExitCode, LakeUnusable
from fdr.noise.make import Keeping, make_noise
from fdr.noise.numbers import numbers, numbers_of_none
from fdr.noise.recipe import Recipe
from fdr.noise.telling import Telling
from fdr.noise.who import on_lake
from fdr.reach import connect


def noise(lake: str, recipe: Recipe, keeping: Keeping, telling: Telling) -> ExitCode:
    """Make one pass of noise on a lake, tell it, and return its exit code.

    An exit code that would be 0 is 4 where Prometheus did not get the numbers. Raises Busy while another pass
    goes on with the same directory of runs, and what ``make_noise`` does.
    """
    recipe.check()
    telling.check()
    connection = connect(lake)
    with alone(keeping.root, "noise"):
        try:
            connection, recipe = on_lake(connection, recipe)
            result = make_noise(connection, recipe, keeping, telling.show)
        except LakeUnusable as error:
            telling.hand_over(numbers_of_none(connection.name, time.time(), error.exit_code), connection.name)
            raise
        telling.tell(result)
        is_handed_over = telling.hand_over(numbers(result, result.exit_code), connection.name)
    code = result.exit_code
    return ExitCode.INCONCLUSIVE if code is ExitCode.PASSED and not is_handed_over else code
