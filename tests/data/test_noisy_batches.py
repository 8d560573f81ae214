"""Given labels, halves and the data module: whole epochs, and the same batches when resumed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer

from vitmem.data.augment import normalise
from vitmem.data.load import load_data
from vitmem.data.module import NoisyImagesModule
from vitmem.data.noisy import NoisyImages, add_noise
from vitmem.data.shares import Share
from vitmem.registry import DATA, NOISES


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> NoisyImages:
    cache = tmp_path_factory.mktemp("cache")
    data = load_data(DATA.get("digits").parse({}, "data"), None, cache, train=301)
    return add_noise(data, NOISES.get("symmetric").parse({"rate": 0.1}, "noise"), 1)


def test_noisy_images(noisy: NoisyImages) -> None:
    assert torch.equal(noisy.true, noisy.data.train.labels)
    assert torch.equal(noisy.noisy, noisy.given != noisy.true) and noisy.noisy.sum() == 30


def test_halves_share_nothing_and_leave_nothing(noisy: NoisyImages) -> None:
    halves = noisy.halves(5)
    wrong = torch.cat([halves.noisy_selection, halves.noisy_report])
    assert torch.equal(wrong.sort().values, torch.nonzero(noisy.noisy).flatten())
    held = torch.cat([halves.validation_selection, halves.validation_report])
    assert torch.equal(held.sort().values, torch.arange(500))
    assert len(halves.noisy_selection) == 15 and len(halves.validation_selection) == 250
    assert torch.equal(halves.noisy_report, noisy.halves(5).noisy_report)
    assert not torch.equal(halves.noisy_report, noisy.halves(6).noisy_report)


def test_an_epoch_has_every_image_once(noisy: NoisyImages) -> None:
    module = NoisyImagesModule(noisy, batch_size=64, seed=0)
    batches = list(module.batches(0))
    assert [len(b[1]) for b in batches] == [64, 64, 64, 64, 45] and len(module.train_dataloader()) == 5
    index = torch.cat([b[2] for b in batches])
    assert torch.equal(index.sort().values, torch.arange(301)) and not torch.equal(index, torch.arange(301))
    for images, given, rows in batches:
        assert torch.equal(given, noisy.given[rows])
        expected = normalise(noisy.data.train.images[rows], noisy.data.mean, noisy.data.std)
        assert torch.equal(images, expected)


def test_epochs_and_seeds_differ_and_repeat(noisy: NoisyImages) -> None:
    module = NoisyImagesModule(noisy, batch_size=64, seed=0, crop=1, flip=True)
    first = [b[0] for b in module.batches(3)]
    list(module.batches(7))
    assert all(torch.equal(a, b[0]) for a, b in zip(first, module.batches(3), strict=True))
    other = NoisyImagesModule(noisy, batch_size=64, seed=1, crop=1, flip=True)
    assert not torch.equal(first[0], next(module.batches(4))[0])
    assert not torch.equal(first[0], next(other.batches(3))[0])


@pytest.mark.parametrize(("ranks", "parts"), [(2, 1), (1, 3), (4, 2)])
def test_devices_share_the_batches_of_one(noisy: NoisyImages, ranks: int, parts: int) -> None:
    """The weighted mean of any number of an image is that of the whole batch: 301 leave a last batch of one image."""
    options = {"batch_size": 50, "seed": 3, "crop": 1, "flip": True}
    whole = list(NoisyImagesModule(noisy, **options).batches(2))
    shares = [NoisyImagesModule(noisy, **options, share=Share(rank, ranks, parts)) for rank in range(ranks)]
    read = [list(zip(share.batches(2), share.weights, strict=True)) for share in shares]
    assert len(shares[0].train_dataloader()) == 7 * parts
    for number, (images, _, rows) in enumerate(whole):
        some = [one for mine in read for one in mine[number * parts : (number + 1) * parts]]
        counted = torch.cat([batch[2] for batch, weight in some if weight])
        assert torch.equal(counted.sort().values, rows.sort().values)
        means = [weight * batch[0].double().mean((0, 1)) for batch, weight in some]
        torch.testing.assert_close(sum(means) / len(some), images.double().mean((0, 1)))


class Recorder(LightningModule):
    """Remembers the images of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)
        self.seen: dict[int, list[torch.Tensor]] = {}

    def training_step(self, batch: tuple[torch.Tensor, ...], step: int) -> torch.Tensor:
        self.seen.setdefault(self.current_epoch, []).append(batch[0])
        return self.layer(batch[0].mean().view(1, 1)).sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 1e-3)


def record(noisy: NoisyImages, epochs: int, save: Path | None = None, resume: Path | None = None) -> Recorder:
    recorder, module = Recorder(), NoisyImagesModule(noisy, batch_size=64, seed=9, crop=1, flip=True)
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(recorder, module, ckpt_path=resume, weights_only=True)
    if save:
        trainer.save_checkpoint(save)
    return recorder


def test_a_run_resumed_at_an_epoch_sees_the_same_batches(noisy: NoisyImages, tmp_path: Path) -> None:
    whole = record(noisy, 4)
    record(noisy, 2, save=tmp_path / "half.ckpt")
    rest = record(noisy, 4, resume=tmp_path / "half.ckpt")
    assert sorted(whole.seen) == [0, 1, 2, 3] and sorted(rest.seen) == [2, 3]
    for epoch in (2, 3):
        assert len(rest.seen[epoch]) == len(whole.seen[epoch]) == 5
        assert all(torch.equal(a, b) for a, b in zip(rest.seen[epoch], whole.seen[epoch], strict=True))
    assert not torch.equal(whole.seen[2][0], whole.seen[3][0])
