"""Trains the model on this interpreter's standard library: `python -m deploy.models.train`.

Needs torch, tokenizers and safetensors, in an environment of their own; see the README beside.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional

from deploy.models.architecture import MODEL, Architecture
from deploy.models.corpus import standard_library
from deploy.models.examples import Examples
from deploy.models.graph import write_graph
from deploy.models.network import Weights, initial, logits
from deploy.models.publish import publish
from deploy.models.vocabulary import learned_from

# Long rows last: they cost more, and teach only what is far apart. By the share of the steps that
# is done.
_ROW_TOKENS: Final = {0.95: 1024, 0.7: 512, 0.0: 256}
_STEP_TOKENS: Final = 4096
# What lies between the layers of so many tokens stays in a core's cache; parts are shared out.
_PART_TOKENS: Final = 1024
# Warm up, hold, decay: a run can be prolonged from any checkpoint before the decay.
_WARM_STEPS: Final = 20
_DECAY_SHARE: Final = 0.4
_MATRIX_RATE: Final = 0.02
_OTHER_RATE: Final = 0.003
# Of the matrices, times their rate: the text is gone through about four times.
_WEIGHT_DECAY: Final = 0.05
# One row in so many has a gap in its positions (Zhu et al., PoSE, 2023): what is far apart is
# learned from rows that are short.
_GAP_EVERY: Final = 4
_HELD_OUT_ROW_TOKENS: Final = 256
_CHECKPOINT: Final = "checkpoint.pt"
_CHECKPOINT_STEPS: Final = 50


@dataclass(slots=True, kw_only=True)
class Run:
    """What a checkpoint keeps, beside the optimizers' own state."""

    architecture: Architecture
    weights: Weights
    optimizers: tuple[torch.optim.Optimizer, ...]
    steps: int
    step: int = 0
    cpu_s: float = 0.0

    def rate(self) -> float:
        """The share of the full learning rate that the next step takes."""
        left = (self.steps - self.step) / self.steps
        return min(1.0, (self.step + 1) / _WARM_STEPS, left / _DECAY_SHARE)

    def row_tokens(self) -> int:
        return next(
            tokens for share, tokens in _ROW_TOKENS.items() if self.step >= share * self.steps
        )

    def save(self, path: Path) -> None:
        states = [optimizer.state_dict() for optimizer in self.optimizers]
        kept = (self.weights, states, self.step, self.cpu_s)
        torch.save(kept, path.with_suffix(".new"))
        path.with_suffix(".new").replace(path)

    def resume(self, path: Path) -> None:
        weights, states, self.step, self.cpu_s = torch.load(path)
        with torch.no_grad():
            for name, weight in weights.items():
                self.weights[name].copy_(weight)
        for optimizer, state in zip(self.optimizers, states, strict=True):
            optimizer.load_state_dict(state)


def begin(architecture: Architecture, steps: int) -> Run:
    """The layers' matrices are trained by Muon (Jordan et al., 2024), all else by Adam."""
    weights = initial(architecture, seed=0)
    matrices = [each for name, each in weights.items() if name.endswith("_proj.weight")]
    others = [each for name, each in weights.items() if not name.endswith("_proj.weight")]
    # Two optimizers, so that both cores have one.
    halves = matrices[::2], matrices[1::2]
    return Run(
        architecture=architecture,
        weights=weights,
        optimizers=(
            *(
                torch.optim.Muon(half, lr=_MATRIX_RATE, weight_decay=_WEIGHT_DECAY)
                for half in halves
            ),
            torch.optim.AdamW(others, lr=_OTHER_RATE, betas=(0.9, 0.95), weight_decay=0.0),
        ),
        steps=steps,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """Tokens have one column more than the others: what follows the last position."""

    tokens: Tensor
    positions: Tensor
    weights: Tensor

    def parts(self) -> list["Batch"]:
        count = self.positions.numel() // _PART_TOKENS
        columns = (each.chunk(count) for each in (self.tokens, self.positions, self.weights))
        return [
            Batch(tokens=tokens, positions=positions, weights=weights)
            for tokens, positions, weights in zip(*columns, strict=True)
        ]


def drawn(examples: Examples, row_tokens: int, rng: Random) -> Batch:
    rows = [examples.row(row_tokens + 1) for _ in range(_STEP_TOKENS // row_tokens)]
    spare = Architecture().max_position_embeddings - row_tokens
    positions = []
    for index in range(len(rows)):
        gap = rng.randrange(spare) if index % _GAP_EVERY == 0 else 0
        split = rng.randrange(row_tokens)
        positions.append([at + gap * (at >= split) for at in range(row_tokens)])
    return Batch(
        tokens=torch.tensor([row.tokens for row in rows]),
        positions=torch.tensor(positions),
        weights=torch.tensor([row.weights for row in rows])[:, 1:],
    )


def loss_of(run: Run, part: Batch) -> Tensor:
    """Sum over what counts, in nats."""
    # Kept casts would be shared between threads.
    with torch.autocast("cpu", torch.bfloat16, cache_enabled=False):
        said = logits(run.weights, part.tokens[:, :-1], part.positions, run.architecture)
    wanted = part.tokens[:, 1:].flatten()
    each = functional.cross_entropy(said.flatten(0, 1).float(), wanted, reduction="none")
    return (each * part.weights.flatten()).sum()


@dataclass(frozen=True, slots=True, kw_only=True)
class Slope:
    """Of the loss, by each of the weights in their order."""

    loss: float
    gradients: Sequence[Tensor]


def slope_of(run: Run, part: Batch) -> Slope:
    loss = loss_of(run, part)
    return Slope(loss=loss.item(), gradients=torch.autograd.grad(loss, list(run.weights.values())))


def take_step(run: Run, batch: Batch, cores: Executor) -> float:
    """Returns the mean loss, in nats a token."""
    slopes = list(cores.map(partial(slope_of, run), batch.parts()))
    counted = batch.weights.sum().item()
    gradients = (slope.gradients for slope in slopes)
    for weight, *parts in zip(run.weights.values(), *gradients, strict=True):
        weight.grad = sum(parts) / counted
    for optimizer in run.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = optimizer.defaults["lr"] * run.rate()
    list(cores.map(lambda optimizer: optimizer.step(), run.optimizers))
    run.step += 1
    return float(sum(slope.loss for slope in slopes) / counted)


def mean_loss(run: Run, batch: Batch) -> float:
    """In nats a token."""
    with torch.no_grad():
        total = torch.stack([loss_of(run, part) for part in batch.parts()]).sum()
    return float((total / batch.weights.sum()).item())


def train(out: Path, steps: int, threads: int) -> None:
    # One core to a part: two that share each product wait for each other.
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    architecture = Architecture()
    documents = standard_library()
    seen = [document for document in documents if not document.is_held_out]
    unseen = [document for document in documents if document.is_held_out]
    tokenizer = learned_from((each.text for each in seen), architecture.vocab_size)
    held_out = drawn(Examples(unseen, tokenizer, Random(1)), _HELD_OUT_ROW_TOKENS, Random(1))
    run = begin(architecture, steps)
    if (out / _CHECKPOINT).exists():
        run.resume(out / _CHECKPOINT)
    rng = Random(run.step)
    examples = Examples(seen, tokenizer, rng)
    spent_s, losses = time.process_time() - run.cpu_s, list[float]()
    with ThreadPoolExecutor(threads) as cores:
        while run.step < steps:
            losses.append(take_step(run, drawn(examples, run.row_tokens(), rng), cores))
            if run.step % _CHECKPOINT_STEPS == 0 or run.step == steps:
                run.cpu_s = time.process_time() - spent_s
                _tell(out, run, sum(losses) / len(losses), mean_loss(run, held_out))
                losses.clear()
                run.save(out / _CHECKPOINT)
    publish(out / MODEL.name, architecture, run.weights, tokenizer)
    write_graph(out / MODEL.name / "graph.onnx", architecture)


def _tell(out: Path, run: Run, loss: float, unseen_loss: float) -> None:
    line = {
        "step": run.step,
        "tokens": run.step * _STEP_TOKENS,
        "cpu_s": round(run.cpu_s),
        "loss": round(loss, 3),
        "held_out_loss": round(unseen_loss, 3),
    }
    with (out / "loss.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    sys.stderr.write(f"{line}\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m deploy.models.train", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("out/model"), help="checkpoint and model")
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    train(options.out, options.steps, options.threads)


if __name__ == "__main__":
    main()
