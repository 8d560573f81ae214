"""The meaning of columns that many tables have, by their titles. Does not import torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vitmem.reports.render import Column

# How to read the rest of the page.
READING = (
    "shares are in per cent, means over the seeds on the report halves; a column without any value is left out",
    "A - B: A less what it is for B (base: the unedited network; before: the edit alone; chosen: the setting of the "
    "table chosen), in points, paired over the same seeds",
    "in CSV a column has the key that the reference of the tables gives it; shares are fractions, and '<key>_interval' "
    "is half the width of the 95 % interval",
)
MEANINGS = {
    "model": "name of the network in the suite, with the keys in which the trainings of the suite differ",
    "method": "title of the edit; base: the unedited network",
    "setting": "blocks and strength of the edit, of the keys that differ among the settings of the method",
    "its setting": "blocks and strength of the edit that the row comes after",
    "blocks": "blocks of the network whose layers are edited",
    "strength": "numeric parameters of the edit",
    "seeds": "number of seeds with a row",
    "seeds, hours": "seeds of the suite, and hours of all processes together",
    "settings": "number of settings of the method; in tables over trainings, of ways to train",
    "memorized": "share of the wrongly labelled training images that are predicted as their wrong label; of text, the "
    "share of the strings that are recited word for word",
    "recovered": "share of the same images that are predicted as their true label",
    "other": "share of the same images that are predicted as a third class",
    "clean train": "accuracy on the training images whose label is right",
    "validation": "accuracy on images that were never trained on; of text, the share of held-out tokens that are right",
    "validation without duplicates": "the same without test images that have a twin in training (ciFAIR)",
    "validation without label errors": "the same without test images whose label is wrong (cleanlab)",
    "validation agreement humans": "mean share of people who name the predicted class (CIFAR-10H)",
    "selection memorized": "memorized on the selection half",
    "selection validation": "validation on the selection half",
    "memorized before": "memorized under the edit alone, or of the base",
    "kept mass %": "share of the method's importance, summed over the edited matrices, that the kept pairs have",
    "allowed loss": "points of selection accuracy that a setting may lose",
    "outcome": "the measure that is compared",
    "p": "of the test whose interval is shown, before any correction",
    "Holm p": "the p value after Holm's correction",
    "rule": "the rule without labels that chooses the setting",
    "cases": "pairs of a network and a method to which the rule applies",
    "within 3 of chosen": "cases with recovered and validation at most 3 points below those of the table chosen",
    "fact": "what is told of the suite",
    "value": "what it is in this suite",
    "suite": "name of the suite, with a link to its page",
    "data and network": "data set, number of training images, and network",
    "base": "the unedited network",
    "layer": "module path of the edited layer",
    "basis": "the directions that are compared: kfac, or svd of the weight",
    "score": "the quantity by which images are ranked as wrongly labelled",
    "AUROC": "area under the ROC curve: one half is chance, one is perfect",
    "average precision": "area under the precision-recall curve: chance is the share of wrong labels",
    "images": "number of training images",
    "tokens": "number of tokens of an image",
    "side": "A for the inputs of a layer, G for the gradients of its outputs",
    "steps": "optimizer steps after the edit",
    "after": "the edit that the row comes after",
    "statistics": "the images that the statistics are over",
    "classes": "number of classes over which the row is a mean",
    "trainings": "number of trainings, one for each setting and seed",
    "loosely": "share of the strings that are recited with few changed tokens",
    "distance": "edit distance of what is recited to the string, over its length, mean",
    "prefix": "length of the longest exact beginning, mean",
    "perturbed prefix": "the same for the best of several perturbed prompts",
    "suffix loss": "loss of the part to recite, given the prompt",
    "longest run": "longest run of right tokens in passages that are known by heart",
    "famous loss": "loss of passages that are known by heart",
    "control recited": "share of passages that nobody knows by heart which are recited all the same",
    "control loss": "loss of passages that nobody knows by heart",
    "perplexity": "exp of the loss of held-out text",
    "nDCG@10": "agreement of the ten likeliest next tokens with those of the base, on held-out text",
    "drift": "mean absolute change of the loss of a held-out token, in nats",
    "95 % of change": "bootstrap interval of the change of memorized",
}  # fmt: skip


def meaning(column: Column) -> str:
    """Return the ``about`` of ``column`` or the meaning of its title, empty if only the rules of its table say it."""
    return column.about or MEANINGS.get(column.title, "")


def shared_meanings(columns: Sequence[Column]) -> Iterator[str]:
    """Yield ``title: meaning`` for the titles among ``columns`` that have one here and no ``about``."""
    titles = {column.title for column in columns if not column.about}
    yield from (f"{title}: {text}" for title, text in MEANINGS.items() if title in titles)
