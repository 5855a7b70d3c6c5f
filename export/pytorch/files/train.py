"""Trains the network of this folder: AFNet's objective, or distillation from a teacher, or both.

    python train.py --videos frames/ --list train.txt --val val.txt --rt 0.5
    torchrun --nproc-per-node 8 train.py --videos frames/ --list train.txt --val val.txt --rt 0.5
    afc convert af.onnx --weights best.safetensors -o trained.onnx

The objective is the paper's: cross-entropy on the mean of the frames' scores
+ lambda · mean over blocks of (R_T − r)², r a block's selected ratio. Schedules
are the authors' of 55 epochs, scaled to --epochs. The same options on the same
data give the same weights, resumed or not, on the CPU with one thread count.
"""

import argparse
import json
import math
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

import afnet
import data

HERE = Path(__file__).resolve().parent
EPOCHS = 55  # the authors' recipe, which the schedules below are fractions of


def options(argv: list[str] | None = None) -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    d = p.add_argument_group("data")
    d.add_argument("--videos", type=Path, help="folder that the paths of the lists start from")
    d.add_argument("--list", type=Path, help='videos to train on, lines "path [frames] label"')
    d.add_argument("--val", type=Path, help="videos to choose the best weights by")
    d.add_argument("--input", type=Path, help="clips to train on from a .npz file, instead of --videos and --list")
    d.add_argument("--val-input", type=Path, help="clips to choose the best weights by from a .npz file")
    d.add_argument("--size", type=int, nargs=2, metavar=("H", "W"), help="frame size where config.json leaves it open")
    d.add_argument("--scale", type=int, default=0, help="shorter side before the crop (default: 256/224 of the crop's)")
    d.add_argument("--mean", type=float, nargs=3, default=(123.675, 116.28, 103.53), help="of R, G, B (default: ImageNet's)")
    d.add_argument("--std", type=float, nargs=3, default=(58.395, 57.12, 57.375), help="of R, G, B (default: ImageNet's)")
    d.add_argument("--bgr", action="store_true", help="channels in the order B, G, R")
    d.add_argument("--flip", action="store_true", help="flip half the clips; not where left and right matter")
    d.add_argument("--workers", type=int, default=4, help="processes that read clips")
    o = p.add_argument_group("objective")
    o.add_argument("--rt", type=float, default=0.5, help="ratio of frames to select (default: 0.5)")
    o.add_argument("--lambda", dest="ratio_weight", type=float, default=0.5, help="weight of the ratio's loss")
    o.add_argument("--label-weight", dest="labels", type=float, default=1.0, help="weight of the cross-entropy; 0: train without labels")
    o.add_argument("--distill", type=float, default=0.0, help="weight of the teacher's scores, clip and frames")
    o.add_argument("--train", choices=("all", "navigation"), default="all", help="which weights learn")
    t = p.add_argument_group("training")
    t.add_argument("--epochs", type=int, default=EPOCHS)
    t.add_argument("--batch", type=int, default=32, help="clips a step, of all processes together")
    t.add_argument("--accumulate", type=int, default=1, help="parts that a process computes its share of a step in")
    t.add_argument("--lr", type=float, default=0.01)
    t.add_argument("--momentum", type=float, default=0.9)
    t.add_argument("--weight-decay", type=float, default=5e-4)
    t.add_argument("--clip-gradient", type=float, default=20.0, help="norm of the gradient at most; 0: any")
    t.add_argument("--dropout", type=float, default=0.5, help="before the linear layer")
    t.add_argument("--bn", choices=("batch", "sync", "frozen"), default="batch", help="whose statistics: each process's, all's, the stored")
    t.add_argument("--amp", choices=("off", "fp16", "bf16"), default="off", help="mixed precision on CUDA")
    t.add_argument("--seed", type=int, default=0)
    f = p.add_argument_group("files")
    f.add_argument("--out", type=Path, default=HERE, help="folder for last.pt, best.safetensors, log.jsonl (default: this one)")
    f.add_argument("--resume", action="store_true", help="go on from last.pt")
    f.add_argument("--save-every", type=int, default=500, help="steps between checkpoints")
    f.add_argument("--tensorboard", action="store_true", help="curves for TensorBoard, too")
    opt = p.parse_args(argv)
    if (opt.input is None) == (opt.list is None):
        p.error("give --videos and --list, or --input")
    if opt.list is not None and opt.videos is None:
        p.error("--list needs --videos, the folder its paths start from")
    if not 0 <= opt.rt <= 1:
        p.error(f"--rt {opt.rt}: a ratio lies between 0 and 1")
    if opt.labels == 0 and opt.distill == 0:
        p.error("nothing to learn from: --label-weight and --distill are both 0")
    return opt


# Schedules, functions of progress: the part of all epochs that is done.


def temperature(progress: float) -> float:
    """τ of the Gumbel-softmax: from 1 to 0.01 exponentially, until epoch 50 of 55."""
    return 0.01 ** min(1.0, progress * EPOCHS / 50)


def target_ratio(progress: float, rt: float) -> float:
    """R_T: 1 until epoch 10 of 55, then down in thirds until epoch 20."""
    thirds = min(3, max(0, math.floor((progress * EPOCHS - 10) / 10 * 2) + 1))
    return 1 - (1 - rt) * thirds / 3


def learning_rate(progress: float, base: float) -> float:
    """Divided by ten at epochs 25 and 45 of 55."""
    return base * 0.1 ** sum(progress * EPOCHS >= milestone for milestone in (25, 45))


def parameter_groups(network: afnet.Network, train: str) -> list[dict]:
    """Parameters by the authors' multipliers of the learning rate: navigation 10, the linear layer 5 and its bias 10."""
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        navigation = ".list_gen." in name
        parameter.requires_grad_(train == "all" or navigation)
        if not parameter.requires_grad:
            continue
        times = 1.0
        if navigation and not name.endswith("conv_gs.bias"):
            times = 10.0
        elif name.startswith("new_fc"):
            times = 10.0 if name.endswith("bias") else 5.0
        groups.setdefault(times, []).append(parameter)
    return [{"params": parameters, "times": times} for times, parameters in sorted(groups.items())]


def gumbel(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Gumbel samples −log(−log U), drawn on the CPU so that they depend on the generator alone."""
    u = torch.rand(shape, generator=generator).clamp(1e-10, 1 - 1e-7)
    return -torch.log(-torch.log(u))


class Trainer:
    """One run of training: what it holds is what last.pt keeps."""

    def __init__(self, opt: argparse.Namespace):
        self.opt = opt
        self.rank, self.world = dist.get_rank() if dist.is_initialized() else 0, dist.get_world_size() if dist.is_initialized() else 1
        if opt.batch % (self.world * opt.accumulate):
            raise SystemExit(f"--batch {opt.batch} does not divide into {self.world} processes × {opt.accumulate} parts")
        self.device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0))) if torch.cuda.is_available() else torch.device("cpu")
        if opt.amp != "off" and self.device.type == "cpu":
            raise SystemExit("--amp needs CUDA")
        torch.manual_seed(opt.seed)
        self.network = afnet.load_trained(HERE).to(self.device)
        self.network.dropout.p = opt.dropout
        if self.network.blocks == 0:
            raise SystemExit(f"{HERE / 'config.json'} is a plain network, without AF stages; there is nothing to select")
        self.teacher = self.load_teacher()
        groups = parameter_groups(self.network, opt.train)
        if opt.bn == "sync" and self.world > 1:
            self.network = nn.SyncBatchNorm.convert_sync_batchnorm(self.network)
        self.model: nn.Module = self.network
        if self.world > 1:
            self.model = DistributedDataParallel(self.network)
        self.optimizer = torch.optim.SGD(groups, lr=opt.lr, momentum=opt.momentum, weight_decay=opt.weight_decay)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=opt.amp == "fp16")
        self.train_set, self.val_set = self.load_data()
        self.steps = len(self.train_set) // opt.batch
        if self.steps == 0:
            raise SystemExit(f"{len(self.train_set)} clips to train on are fewer than a batch of {opt.batch}")
        self.epoch, self.step, self.best = 0, 0, -1.0
        self.log_file = None

    def load_teacher(self) -> afnet.Network | None:
        if self.opt.distill == 0:
            return None
        if not (HERE / "teacher.json").exists():
            raise SystemExit("--distill needs teacher.json and teacher.safetensors: export with --source SOURCE.onnx")
        return afnet.load_trained(HERE, "teacher", "teacher").to(self.device).eval().requires_grad_(False)

    def load_data(self) -> tuple[torch.utils.data.Dataset, torch.utils.data.Dataset | None]:
        o, c = self.opt, self.network.config
        size = tuple(o.size) if o.size else tuple(c["size"])
        if 0 in size and o.input is None:
            raise SystemExit("config.json leaves the frame size open: give --size H W")
        pre = data.Preprocessing(size, tuple(o.mean), tuple(o.std), o.bgr, o.scale)
        if o.input is not None:
            train = data.Arrays(o.input, self.network.frames, self.network.channels)
        else:
            train = data.Videos(data.read_list(o.list, o.videos), self.network.frames, pre, True, o.flip, o.seed)
        val = None
        if o.val_input is not None:
            val = data.Arrays(o.val_input, self.network.frames, self.network.channels)
        elif o.val is not None:
            val = data.Videos(data.read_list(o.val, o.videos), self.network.frames, pre, False, False, o.seed)
        return train, val

    def run(self) -> None:
        if self.opt.resume:
            self.restore()
        if self.rank == 0:
            self.opt.out.mkdir(parents=True, exist_ok=True)
            self.log_file = (self.opt.out / "log.jsonl").open("a" if self.opt.resume else "w")
        while self.epoch < self.opt.epochs:
            self.train_epoch()
            self.epoch, self.step = self.epoch + 1, 0
            self.validate()
            self.save()

    def train_epoch(self) -> None:
        o = self.opt
        self.train_set.epoch = self.epoch
        mine = data.batches(len(self.train_set), o.batch, o.seed, self.epoch, self.rank, self.world)[self.step :]
        loader = DataLoader(self.train_set, batch_sampler=mine, num_workers=o.workers if o.input is None else 0)
        self.mode()
        for clips, labels in loader:
            began = time.perf_counter()
            facts = self.train_step(clips.to(self.device), labels.to(self.device))
            self.step += 1
            facts["clips_per_second"] = round(o.batch / (time.perf_counter() - began), 2)
            self.log(facts)
            if not math.isfinite(facts["loss"]):
                where = f"epoch {self.epoch}, step {self.step}"
                raise SystemExit(f"the loss is {facts['loss']} at {where}: try a smaller --lr; last.pt has earlier weights, if any")
            if self.step % o.save_every == 0 and self.step < self.steps:
                self.save()

    def mode(self) -> None:
        """Training mode; with frozen BN the stored statistics stay."""
        self.model.train()
        if self.opt.bn == "frozen":
            for m in self.network.modules():
                if isinstance(m, nn.modules.batchnorm._BatchNorm):
                    m.eval()

    def train_step(self, clips: Tensor, labels: Tensor) -> dict:
        o = self.opt
        progress = (self.epoch + self.step / self.steps) / o.epochs
        tau, ratio = temperature(progress), target_ratio(progress, o.rt)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(progress, o.lr) * group["times"]
        noise, cell_noise = self.noise(clips.shape[-2:])
        facts: dict[str, float] = {}
        self.optimizer.zero_grad(set_to_none=True)
        for part in range(o.accumulate):
            rows = slice(part * len(clips) // o.accumulate, (part + 1) * len(clips) // o.accumulate)
            sampling = afnet.Sampling(tau, noise[rows], [c[rows] for c in cell_noise])
            wait = self.world > 1 and part < o.accumulate - 1
            with self.model.no_sync() if wait else nullcontext():
                loss, terms = self.loss(clips[rows], labels[rows], sampling, ratio)
                self.scaler.scale(loss / o.accumulate).backward()
            for name, value in terms.items():
                facts[name] = facts.get(name, 0.0) + value / o.accumulate
        if self.world > 1:
            told = torch.tensor(list(facts.values()), dtype=torch.float64, device=self.device)
            dist.all_reduce(told)
            facts = dict(zip(facts, (told / self.world).tolist(), strict=True))
        self.scaler.unscale_(self.optimizer)
        if o.clip_gradient:
            facts["gradient_norm"] = nn.utils.clip_grad_norm_(self.network.parameters(), o.clip_gradient).item()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return {"epoch": self.epoch, "step": self.step, **facts, "tau": tau, "target_ratio": ratio}

    def noise(self, size: tuple[int, int]) -> tuple[Tensor, list[Tensor]]:
        """This process's share of the step's noise, which depends on seed, epoch and step alone."""
        o, n = self.opt, self.network
        generator = torch.Generator().manual_seed(hash((o.seed, self.epoch, self.step)) % 2**63)
        share = o.batch // self.world
        rows = slice(self.rank * share, (self.rank + 1) * share)
        noise = gumbel((o.batch, n.blocks, n.frames, 2), generator)[rows].to(self.device)
        grids = [m.grid for m in n.modules() if isinstance(m, afnet.Navigation) and m.grid is not None]
        return noise, [gumbel((o.batch, n.frames, g, g, 2), generator)[rows].to(self.device) for g in grids]

    def loss(self, clips: Tensor, labels: Tensor, sampling: afnet.Sampling, ratio: float) -> tuple[Tensor, dict]:
        o = self.opt
        kind = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(o.amp)
        with torch.autocast(self.device.type, dtype=kind) if kind else nullcontext():
            answer = self.model(clips, sampling)
        missing = self.over_processes(answer.masks.float().mean(dim=(0, 2)))
        terms = {"ratio": ((ratio - missing) ** 2).mean() * o.ratio_weight}
        if answer.cells:
            cells = self.over_processes(torch.stack([c.float().mean() for c in answer.cells]))
            terms["cells"] = ((ratio - cells) ** 2).mean() * o.ratio_weight
        if o.labels:
            if (labels < 0).any():
                raise SystemExit("the list has videos without a label: train on the teacher alone with --label-weight 0 --distill 1")
            terms["classes"] = F.cross_entropy(answer.scores.float(), labels) * o.labels
        if self.teacher is not None:
            with torch.no_grad():
                wanted = self.teacher(clips)
            terms["teacher"] = self.distance(answer, wanted) * o.distill
        total = sum(terms.values())
        facts = {"loss": total.item(), **{f"loss_{k}": v.item() for k, v in terms.items()}, "selected": missing.mean().item()}
        return total, facts

    def distance(self, answer: afnet.Answer, wanted: afnet.Answer) -> Tensor:
        """Squared error of the clip's scores + half that of the frames', each over the variance of the teacher's."""
        total = F.mse_loss(answer.scores.float(), wanted.scores) / self.variance(wanted.scores)
        same = answer.frame_scores is not None and wanted.frame_scores is not None
        if same and answer.frame_scores.shape == wanted.frame_scores.shape:
            frames = F.mse_loss(answer.frame_scores.float(), wanted.frame_scores)
            total = total + 0.5 * frames / self.variance(wanted.frame_scores)
        return total

    def variance(self, scores: Tensor) -> Tensor:
        """The classes' variance in a row of scores, mean of all rows of all processes."""
        return self.over_processes(scores.var(dim=-1).mean()).clamp_min(1e-12)

    def over_processes(self, ratio: Tensor) -> Tensor:
        """The mean over all processes; DDP, which averages gradients, makes this process's part of it right."""
        if self.world == 1:
            return ratio
        mean = ratio.detach().clone()
        dist.all_reduce(mean)
        return ratio + (mean / self.world - ratio.detach())

    @torch.no_grad()
    def validate(self) -> None:
        """Top-1 on the validation clips, every process a share; the best weights are kept."""
        if self.val_set is None:
            if self.rank == 0:
                self.write_weights("best")
            return
        self.model.eval()
        mine = list(range(self.rank, len(self.val_set), self.world))
        right = torch.zeros(2, device=self.device, dtype=torch.float64)
        for clips, labels in DataLoader(torch.utils.data.Subset(self.val_set, mine), batch_size=max(1, self.opt.batch // self.world)):
            answer = self.network(clips.to(self.device))
            right[0] += (answer.scores.argmax(dim=1).cpu() == labels).sum()
            right[1] += answer.masks.mean().double() * len(labels)
        if self.world > 1:
            dist.all_reduce(right)
        top1, selected = (right / len(self.val_set)).tolist()
        self.log({"epoch": self.epoch, "top1": top1, "selected": selected})
        if top1 > self.best:
            self.best = top1
            if self.rank == 0:
                self.write_weights("best")

    def write_weights(self, name: str) -> None:
        temporary = self.opt.out / f"{name}.safetensors.tmp"
        save_file(self.network.checkpoint(), temporary)
        temporary.replace(self.opt.out / f"{name}.safetensors")

    def save(self) -> None:
        if self.rank != 0:
            return
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "at": (self.epoch, self.step, self.best),
            "random": torch.get_rng_state(),
            "options": told(self.opt),
        }
        temporary = self.opt.out / "last.pt.tmp"
        torch.save(state, temporary)
        temporary.replace(self.opt.out / "last.pt")

    def restore(self) -> None:
        path = self.opt.out / "last.pt"
        if not path.exists():
            raise SystemExit(f"{path} is not there: nothing to resume; leave out --resume to begin")
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["options"] != told(self.opt):
            changed = sorted(k for k, v in told(self.opt).items() if state["options"].get(k) != v)
            raise SystemExit(f"{path} was made with other options: {', '.join(changed)}")
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])
        self.epoch, self.step, self.best = state["at"]
        torch.set_rng_state(state["random"].cpu())

    def log(self, facts: dict) -> None:
        if self.log_file is None:
            return
        self.log_file.write(json.dumps(facts) + "\n")
        self.log_file.flush()
        if "top1" in facts or facts["step"] % 10 == 0:
            print("  ".join(f"{k} {v:.4g}" for k, v in facts.items()), file=sys.stderr, flush=True)
        if self.opt.tensorboard:
            self.curves(facts)

    def curves(self, facts: dict) -> None:
        if not hasattr(self, "writer"):
            from torch.utils.tensorboard import SummaryWriter

            self.writer = SummaryWriter(self.opt.out)
        at = facts["epoch"] * self.steps + facts.get("step", 0)
        for name, value in facts.items():
            self.writer.add_scalar(name, value, at)


def told(opt: argparse.Namespace) -> dict:
    """The options that the weights depend on, as last.pt keeps them."""
    places = {"resume", "out", "workers", "save_every", "tensorboard", "val", "val_input"}
    return {k: str(v) for k, v in sorted(vars(opt).items()) if k not in places}


def main(argv: list[str] | None = None) -> None:
    opt = options(argv)
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        if torch.cuda.is_available():
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    try:
        Trainer(opt).run()
    except ValueError as e:  # a list, a config, weights: what is wrong with them, without a trace
        raise SystemExit(str(e)) from e
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


if __name__ == "__main__":
    main()
