from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shipseg_tiles import rle
from shipseg_tiles.archive.labels import Labels
from shipseg_tiles.errors import InputError
from shipseg_tiles.scoring.patch_gap import MEANINGS, measure_patch_gap
from shipseg_tiles.scoring.score import score_labels

PATCH = 4
SHAPE = (8, 12)
boxes = st.tuples(st.integers(0, 6), st.integers(0, 9), st.integers(1, 4), st.integers(1, 4))


def mask_of(*boxes, shape=SHAPE):
    """Boxes are (upper row, left column, height, width)."""
    mask = np.zeros(shape, dtype=bool)
    for row, column, height, width in boxes:
        mask[row : row + height, column : column + width] = True
    return mask


def measured(patch, truth, stitched, single=None):
    """The steps for masks by image; each mask is one ship, or none. The labels alone tell the sizes, to the scores."""
    labels, whole, alone = (
        Labels(side, {name: (rle.encode(mask),) if mask.any() else () for name, mask in masks.items()})
        for side, masks in (("labels", truth), ("stitched", stitched), ("single", single or {}))
    )
    scores = score_labels(replace(labels, shapes={name: mask.shape for name, mask in truth.items()}), whole)
    return measure_patch_gap(patch, scores, labels, whole, alone if single else None)


def dice_of(masks):
    """Dice of pairs of masks, pooled."""
    both = sum(int((truth & predicted).sum()) for truth, predicted in masks)
    return 2 * both / sum(int(truth.sum() + predicted.sum()) for truth, predicted in masks)


def patches_of(masks):
    """Every patch of pairs of masks whose sides are multiples of it."""
    return [
        (truth[row : row + PATCH, column : column + PATCH], predicted[row : row + PATCH, column : column + PATCH])
        for truth, predicted in masks
        for row in range(0, SHAPE[0], PATCH)
        for column in range(0, SHAPE[1], PATCH)
    ]


def slow_gap(stitched, single):
    """Each step by its own definition, on full masks cut into patches."""
    of_ships = [masks for masks in stitched if masks[0].any()]
    means = [dice_of([masks]) if masks[0].any() or masks[1].any() else 1 for masks in stitched]
    ship_patches = [[patch for patch in patches_of(masks) if patch[0].any()] for masks in (single, stitched)]
    if not of_ships:
        return [None, None, None, None, np.mean(means)]
    of_ship_images = [dice_of([masks]) for masks in of_ships]
    return [*map(dice_of, ship_patches), dice_of(patches_of(of_ships)), np.mean(of_ship_images), np.mean(means)]


def test_the_steps_by_hand():
    """Patches of 4 px on images of 8 x 12.

    - a: a ship of 4 x 4 fills the first patch. Patch by patch its half is found: 8 pixels. Stitched, all of it is, and
      4 x 4 pixels of another patch beside it: dice 2 * 16 / (16 + 32) = 2/3.
    - b: a ship of 1 x 2, found neither way: dice 0.
    - c: empty, 3 x 3 pixels are predicted in both ways: dice 0.

    Ship patches: 2 * 8 / (16 + 2 + 8) patch by patch, 2 * 16 / (16 + 2 + 16) stitched. With all patches of a and b
    2 * 16 / (16 + 2 + 32); their mean (2/3 + 0) / 2; with c (2/3 + 0 + 0) / 3.
    """
    truth = {"a": mask_of((0, 0, 4, 4)), "b": mask_of((5, 1, 1, 2)), "c": mask_of()}
    others = {"b": mask_of(), "c": mask_of((0, 0, 3, 3))}
    stitched, single = {"a": mask_of((0, 0, 4, 4), (4, 8, 4, 4))} | others, {"a": mask_of((0, 0, 4, 2))} | others

    steps = measured(PATCH, truth, stitched, single)

    assert [step.name for step in steps] == list(MEANINGS)
    expected = [16 / 26, 32 / 34, 32 / 50, 1 / 3, 2 / 9]
    assert [step.dice for step in steps] == pytest.approx(expected)
    assert steps[0].change is None
    assert [step.change for step in steps[1:]] == pytest.approx(np.diff(expected).tolist())


def test_without_single_patches_the_way_begins_at_the_stitched_ones():
    steps = measured(PATCH, {"a": mask_of((0, 0, 4, 4))}, {"a": mask_of((0, 0, 4, 2))})

    assert [step.name for step in steps] == list(MEANINGS)[1:]
    assert [step.change for step in steps] == [None, 0, 0, 0]


@settings(deadline=None, max_examples=80)
@given(st.lists(st.tuples(*[st.lists(boxes, max_size=2)] * 3), min_size=1, max_size=4))
def test_agrees_with_masks_cut_into_patches(images):
    masks = [[mask_of(*each) for each in image] for image in images]
    sides = ({str(number): image[side] for number, image in enumerate(masks)} for side in range(3))

    steps = measured(PATCH, *sides)

    expected = slow_gap([(truth, whole) for truth, whole, _ in masks], [(truth, alone) for truth, _, alone in masks])
    assert [step.dice for step in steps] == pytest.approx(expected)


def test_each_pixel_counts_in_one_patch():
    """10 px are three patches of 4, from 0, 4 and 6, of which the last shares two rows with the second. They count in
    the last alone: a ship in row 7 makes it a ship patch, and the prediction in row 5 lies in another."""
    truth, predicted = mask_of((7, 0, 1, 2), shape=(10, 4)), mask_of((7, 0, 1, 2), (5, 0, 1, 2), shape=(10, 4))

    steps = measured(PATCH, {"a": truth}, {"a": predicted})

    assert [step.dice for step in steps[:2]] == [1, pytest.approx(2 * 2 / (2 + 4))]


def test_a_patch_larger_than_the_image_holds_all_of_it():
    steps = measured(128, {"a": mask_of((0, 0, 1, 2))}, {"a": mask_of((0, 0, 1, 2), (7, 11, 1, 1))})

    assert {step.dice for step in steps} == {2 * 2 / (2 + 3)}


def test_a_patch_without_pixels_is_refused():
    with pytest.raises(InputError, match="tile 0 must be 1 or more"):
        measured(0, {"a": mask_of((0, 0, 1, 2))}, {"a": mask_of()})


@pytest.mark.parametrize(("names", "odd"), [("a", "b"), ("abc", "c"), ("ac", "b"), ("bc", "a")])
def test_single_patches_of_other_images_are_refused(names, odd):
    """Left out here or there, as `skip` allows, the steps would be of different images. c is predicted patch by patch
    alone."""
    truth, stitched = Labels("labels", dict.fromkeys("abc", ())), Labels("stitched", dict.fromkeys("ab", ()))
    scores = score_labels(truth, stitched, "skip")

    with pytest.raises(InputError, match=f"of {odd} there is only one prediction, stitched or unstitched"):
        measure_patch_gap(PATCH, scores, truth, stitched, Labels("single", dict.fromkeys(names, ())), "skip")


def test_the_image_that_is_named_is_the_one_that_was_not_stitched():
    truth, both = Labels("labels", dict.fromkeys("ab", ())), Labels("single", dict.fromkeys("ab", ()))
    stitched = both.only("b")

    with pytest.raises(InputError, match="of a there is only one prediction"):
        measure_patch_gap(PATCH, score_labels(truth, stitched, "skip"), truth, stitched, both, "skip")


def test_missing_single_patches_count_as_empty_where_stitched_ones_do():
    """2 of 2 pixels are found in a, none of 4 in b: 2 * 2 / (2 + 2 + 4) pooled, mean (1 + 0) / 2."""
    truth, found = Labels("labels", {"a": ("1 2",), "b": ("1 4",)}), Labels("found", {"a": ("1 2",)})

    steps = measure_patch_gap(128, score_labels(truth, found, "empty"), truth, found, found, "empty")

    assert [step.dice for step in steps] == [0.5, 0.5, 0.5, 0.5, 0.5]
