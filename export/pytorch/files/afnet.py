"""The network of config.json, as PyTorch modules.

Ample and Focal Network (Zhang et al., "Look More but Care Less in Video
Recognition", NeurIPS 2022): an ample branch looks at all frames cheaply, a
focal branch computes only on the frames that navigation selects. A TSN or TSM
ResNet is the same network without AF stages, so a teacher is built here, too.

Shapes: N clips of T frames; inside, frames lie in the batch axis, [N·T, C, H, W].
Parameters bear the keys of the authors' code (layer1.refine_module.0.conv1.weight).
"""

import json
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

FORMAT = 1  # of config.json; a newer one is refused


@dataclass
class Answer:
    """What the network says of N clips."""

    scores: Tensor  # before any softmax: [N, classes], or [N·T, classes] where the head leaves one row a frame
    frame_scores: Tensor | None  # [N, T, classes] before the mean; None where frames are averaged earlier
    masks: Tensor | None  # [N, blocks, T]: 1 where a focal block computed the frame; None without AF stages
    cells: list[Tensor]  # of each block with spatial navigation [N, T, g, g]


@dataclass
class Sampling:
    """How choices are made in training: straight-through Gumbel-softmax.

    noise: Gumbel samples [N, blocks, T, 2], added to navigation's logits.
    cell_noise: of each block with spatial navigation [N, T, g, g, 2].
    """

    temperature: float
    noise: Tensor
    cell_noise: list[Tensor] = field(default_factory=list)


def choose(logits: Tensor, temperature: float, noise: Tensor | None) -> Tensor:
    """Selection of logits [..., 2]: 1 where the second is larger; a tie selects nothing.

    With noise the forward value is still 0 or 1, and gradients are those of the softmax.
    """
    if noise is None:
        return (logits[..., 1] > logits[..., 0]).to(logits.dtype)
    soft = torch.softmax((logits + noise) / temperature, dim=-1)[..., 1]
    hard = ((logits + noise)[..., 1] > (logits + noise)[..., 0]).to(logits.dtype)
    return hard + (soft - soft.detach())


def shift_frames(x: Tensor, frames: int, shift: dict) -> Tensor:
    """Temporal shift (TSM) of [N·T, C, H, W]: zeros come in at the clip's ends.

    The first "fold" channels take the next frame's, the second the one before;
    with "swapped" it is the other way round.
    """
    fold = shift["fold"]
    x = x.view(-1, frames, *x.shape[1:])
    first, second, rest = x[:, :, :fold], x[:, :, fold : 2 * fold], x[:, :, 2 * fold :]
    later, earlier = (0, 0) * 3 + (-1, 1), (0, 0) * 3 + (1, -1)  # crop one end, pad the other
    if shift["swapped"]:
        later, earlier = earlier, later
    return torch.cat([F.pad(first, later), F.pad(second, earlier), rest], dim=2).flatten(0, 1)


def convolution(c: dict) -> nn.Conv2d:
    return nn.Conv2d(c["in"], c["out"], c["kernel"], c["stride"], c["pad"], groups=c["groups"], bias=c["bias"])


def normalisation(c: dict) -> nn.Module:
    return nn.BatchNorm2d(c["out"], eps=c["eps"]) if c["bn"] else nn.Identity()


class HSwish(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x * F.relu6(x + 3) / 6


def activation(name: str) -> nn.Module:
    return {"relu": nn.ReLU(), "hswish": HSwish(), "none": nn.Identity()}[name]


class SqueezeExcite(nn.Module):
    """Scales channels by what two linear layers make of their means."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))

    def forward(self, x: Tensor) -> Tensor:
        scale = F.relu6(self.fc(x.mean(dim=(2, 3))) + 3) / 6
        return x * scale[:, :, None, None]


class Block(nn.Module):
    """A residual block: convolutions with activations between, added to the residual path.

    Basic (3×3, 3×3), bottleneck (1×1, 3×3, 1×1) and MobileNetV3's (1×1, depthwise, 1×1).
    """

    def __init__(self, c: dict, frames: int, unselected: str):
        super().__init__()
        self.frames, self.unselected, self.shift = frames, unselected, c["shift"]
        self.depth = len(c["convs"])
        for i, conv in enumerate(c["convs"], 1):
            self.add_module(f"conv{i}", convolution(conv))
            self.add_module(f"bn{i}", normalisation(conv))
        self.between = nn.ModuleList(activation(a) for a in c["activations"])  # behind each convolution
        self.squeeze_behind = c["squeeze"]["behind"] if c["squeeze"] else None
        if c["squeeze"]:
            width = c["convs"][self.squeeze_behind]["out"]
            self.se = SqueezeExcite(width, c["squeeze"]["hidden"])
        self.residual = c["residual"]["kind"]  # "identity", "none" or "path"
        if self.residual == "path":
            path = []
            if pool := c["residual"]["pool"]:
                path.append(nn.AvgPool2d(pool["kernel"], pool["stride"], pool["pad"]))
            if conv := c["residual"]["conv"]:
                path += [convolution(conv), normalisation(conv)]
            self.residual_name = c["residual"]["key"]
            self.add_module(self.residual_name, nn.Sequential(*path))
        self.final = activation(c["final"])

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """mask [N·T, 1, g, g]: 1 where the frame, or its cell where there are g×g, is computed."""
        main = shift_frames(x, self.frames, self.shift) if self.shift else x
        source = main if self.shift and self.shift["residual"] else x
        main = self.main_path(main, mask)
        if self.residual == "identity":
            main = main + source
        elif self.residual == "path":
            main = main + getattr(self, self.residual_name)(source)
        return self.final(main)

    def main_path(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            return self.convolutions(x)
        if self.unselected == "zero":
            made = self.convolutions(x)
            return made * F.interpolate(mask, size=made.shape[2:], mode="nearest")
        if mask.shape[2] == 1:  # whole frames: a skipped one answers F(0), the weights' answer to zeros
            return self.convolutions(x * mask)
        blank = self.convolutions(torch.zeros_like(x[:1]))
        made = self.convolutions(x)
        mask = F.interpolate(mask, size=made.shape[2:], mode="nearest")
        return mask * made + (1 - mask) * blank

    def convolutions(self, x: Tensor) -> Tensor:
        for i in range(self.depth):
            x = getattr(self, f"bn{i + 1}")(getattr(self, f"conv{i + 1}")(x))
            if self.squeeze_behind == i:
                x = self.se(x)
            x = self.between[i](x)
        return x


class Navigation(nn.Module):
    """Decides from the ample feature which frames a focal block computes (paper, section 3.2)."""

    def __init__(self, c: dict, frames: int):
        super().__init__()
        self.frames = frames
        self.conv_pool, self.bn = convolution(c["look"]), normalisation(c["look"])
        groups = 1 if c["dense"] else frames  # dense: frames see each other
        self.conv_gs = nn.Conv2d(2 * frames, 2 * frames, 1, groups=groups)
        self.grid = c["cells"]["grid"] if c["cells"] else None
        self.fixed = c["cells"]["fixed"] if c["cells"] else None
        if c["cells"] and not self.fixed:
            self.conv_spatial = convolution(c["cells"]["look"])
            self.bn_spatial = normalisation(c["cells"]["look"])
            self.conv_sgs = nn.Conv2d(c["cells"]["look"]["out"], 2, 1)

    def forward(self, ample: Tensor) -> Tensor:
        """Logits [N, T, 2]; frame t is selected when the second exceeds the first."""
        x = F.relu(self.bn(self.conv_pool(ample.mean(dim=(2, 3), keepdim=True))))
        return self.conv_gs(x.view(-1, 2 * self.frames, 1, 1)).view(-1, self.frames, 2)

    def cells(self, ample: Tensor) -> Tensor:
        """Logits of the cells of each frame's map [N, T, g, g, 2], where they are not fixed."""
        x = F.relu(self.bn_spatial(self.conv_spatial(ample)))
        x = self.conv_sgs(F.adaptive_avg_pool2d(x, self.grid))
        return x.view(-1, self.frames, 2, self.grid, self.grid).permute(0, 1, 3, 4, 2)


class Gate(nn.Module):
    """How much of the ample branch each channel takes, [N·T, C, 1, 1]."""

    def __init__(self, c: dict):
        super().__init__()
        first = nn.Linear(c["channels"], c["hidden"], bias=c["bias"][0])
        second = nn.Linear(c["hidden"], c["channels"], bias=c["bias"][1])
        self.fc = nn.Sequential(first, nn.ReLU(), second, nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(x.mean(dim=(2, 3)))[:, :, None, None]


class AFStage(nn.Module):
    """A stage in ample and focal branches. Children bear the names of the authors' code."""

    def __init__(self, c: dict, frames: int, unselected: str):
        super().__init__()
        self.frames = frames
        self.list_gen = nn.ModuleList(Navigation(n, frames) for n in c["navigation"])
        self.base_module = nn.ModuleList(Block(b, frames, unselected) for b in c["ample"])
        self.refine_module = nn.ModuleList(Block(b, frames, unselected) for b in c["focal"])
        if c["transform"]:
            self.base_transform = nn.Sequential(convolution(c["transform"]), normalisation(c["transform"]))
        else:
            self.base_transform = nn.Identity()
        self.att_gen = Gate(c["gate"])
        self.mixed = activation(c["mixed"])
        self.fusion = nn.Sequential(Block(c["fusion"], frames, unselected))

    def forward(self, x: Tensor, choices: "Choices") -> Tensor:
        ample = focal = x
        for navigation, ample_block, focal_block in zip(self.list_gen, self.base_module, self.refine_module, strict=True):
            mask = choices.of(navigation, ample)
            ample = ample_block(ample)
            focal = focal_block(focal, mask)
        ample = F.interpolate(self.base_transform(ample), size=focal.shape[2:], mode="nearest")
        gate = self.att_gen(ample + focal)
        return self.fusion[0](self.mixed(gate * ample + (1 - gate) * focal), None)


class Choices:
    """Collects the selections of one pass, and forces or samples them where asked."""

    def __init__(self, sampling: Sampling | None, forced: Tensor | None):
        self.sampling, self.forced = sampling, forced
        self.masks: list[Tensor] = []
        self.cells: list[Tensor] = []

    def of(self, navigation: Navigation, ample: Tensor) -> Tensor:
        """The mask of the next focal block, [N·T, 1, 1, 1], or [N·T, 1, g, g] with cells."""
        block = len(self.masks)
        s = self.sampling
        mask = choose(navigation(ample), s.temperature if s else 1, s.noise[:, block] if s else None)
        if self.forced is not None:
            mask = self.forced[:, block].to(mask.dtype)
        self.masks.append(mask)
        mask = mask.reshape(-1, 1, 1, 1)
        if navigation.grid is None:
            return mask
        if navigation.fixed:
            cells = torch.tensor(navigation.fixed, dtype=ample.dtype, device=ample.device).expand(*self.masks[-1].shape, -1, -1)
        else:
            noise = s.cell_noise[len(self.cells)] if s else None
            cells = choose(navigation.cells(ample), s.temperature if s else 1, noise)
        self.cells.append(cells)
        return mask * cells.flatten(0, 1)[:, None]


class Network(nn.Module):
    """The network of a config: stem, stages of blocks or AF stages, head."""

    def __init__(self, config: dict):
        super().__init__()
        check(config)
        self.config = config
        self.frames, self.channels = config["frames"], config["input"]["channels"]
        self.renames = config["renames"]
        stem, head = config["stem"], config["head"]
        self.conv1, self.bn1 = convolution(stem["conv"]), normalisation(stem["conv"])
        self.stem = nn.Sequential(activation(stem["activation"]))
        if pool := stem["pool"]:
            self.stem.append(nn.MaxPool2d(pool["kernel"], pool["stride"], pool["pad"]))
        self.stages = [stage["name"] for stage in config["stages"]]
        for stage in config["stages"]:
            self.add_module(stage["name"], self.make_stage(stage))
        if head["conv"]:
            self.conv_last, self.bn_last = convolution(head["conv"]), normalisation(head["conv"])
            self.last = activation(head["activation"])
        self.dropout = nn.Dropout(0.0)  # train.py sets the rate
        if head["hidden"]:
            inner = nn.Linear(head["features"], head["hidden"])
            self.new_fc = nn.Sequential(inner, HSwish(), self.dropout, nn.Linear(head["hidden"], head["classes"]))
        else:
            self.new_fc = nn.Linear(head["features"], head["classes"], bias=head["bias"])

    def make_stage(self, stage: dict) -> nn.Module:
        unselected = self.config["unselected"]
        if stage["af"]:
            return AFStage(stage["af"], self.frames, unselected)
        return nn.ModuleList(Block(b, self.frames, unselected) for b in stage["blocks"])

    @property
    def blocks(self) -> int:
        """Focal blocks, as rows of masks."""
        return sum(len(s["af"]["focal"]) for s in self.config["stages"] if s["af"])

    def forward(self, clips: Tensor, sampling: Sampling | None = None, masks: Tensor | None = None) -> Answer:
        """clips: [N, T, C, H, W], or any layout with the same order of numbers ([N, T·C, H, W], [N·T, C, H, W]).

        sampling: choices with noise (training); else the larger logit. masks: forced choices [N, blocks, T].
        """
        x = clips.reshape(-1, self.channels, *clips.shape[-2:])
        choices = Choices(sampling, masks)
        x = self.stem(self.bn1(self.conv1(x)))
        for name in self.stages:
            stage = getattr(self, name)
            if isinstance(stage, AFStage):
                x = stage(x, choices)
                continue
            for block in stage:
                x = block(x)
        if self.config["head"]["conv"]:
            x = self.last(self.bn_last(self.conv_last(x)))
        made = torch.stack(choices.masks, dim=1) if choices.masks else None
        return self.answer(x.mean(dim=(2, 3)), made, choices.cells)

    def answer(self, features: Tensor, masks: Tensor | None, cells: list[Tensor]) -> Answer:
        head = self.config["head"]
        frame_scores = None
        if head["consensus"] == "mean-before-fc":
            scores = self.classify(features.view(-1, self.frames, features.shape[1]).mean(dim=1))
        else:
            frame_scores = self.classify(features).view(-1, self.frames, head["classes"])
            scores = frame_scores.mean(dim=1) if head["consensus"] == "mean-after-fc" else frame_scores.flatten(0, 1)
        return Answer(scores, frame_scores, masks, cells)

    def classify(self, features: Tensor) -> Tensor:
        if isinstance(self.new_fc, nn.Sequential):
            return self.new_fc(features)
        return self.new_fc(self.dropout(features))

    def output(self, answer: Answer) -> Tensor:
        """What the ONNX file puts out: the scores, or their softmax where the model ends in one."""
        return answer.scores.softmax(dim=-1) if self.config["head"]["softmax"] else answer.scores

    def checkpoint(self) -> dict[str, Tensor]:
        """The state dict under the authors' keys, for afc convert --weights."""
        return {self.key(k): v.detach().cpu().contiguous() for k, v in self.state_dict().items()}

    def load_checkpoint(self, state: dict[str, Tensor]) -> None:
        """Takes weights under the authors' keys; every key must be there and none left over.

        But for num_batches_tracked, which ONNX files do not have: it starts at 0.
        """
        own = self.state_dict()
        mine = {self.key(k): k for k in own}
        counters = {theirs: torch.zeros_like(own[k]) for theirs, k in mine.items() if k.endswith("num_batches_tracked")}
        state = counters | state
        if missing := sorted(mine.keys() - state.keys()):
            raise ValueError(f"the weights lack {', '.join(missing[:5])} ({len(missing)} in all)")
        if extra := sorted(state.keys() - mine.keys()):
            raise ValueError(f"the network has no {', '.join(extra[:5])} ({len(extra)} in all)")
        self.load_state_dict({mine[k]: v for k, v in state.items()})

    def key(self, name: str) -> str:
        for ours, theirs in self.renames.items():
            if name == ours or name.startswith(ours + "."):
                return theirs + name[len(ours) :]
        return name


def check(config: dict) -> None:
    """Refuses a config that this file does not understand."""
    if config.get("format") != FORMAT:
        raise ValueError(f"config has format {config.get('format')!r}, this afnet.py reads {FORMAT}: export it anew")
    known = {"format", "afc", "kind", "frames", "size", "input", "unselected", "stem", "stages", "head", "renames", "labels"}
    if unknown := sorted(config.keys() - known):
        raise ValueError(f"config says {', '.join(unknown)}, which this afnet.py does not know: export it anew")
    if config["unselected"] not in ("bias", "zero"):
        raise ValueError(f"config: unselected is {config['unselected']!r}, expected 'bias' or 'zero'")
    if config["head"]["consensus"] not in ("mean-after-fc", "mean-before-fc", "per-frame"):
        raise ValueError(f"config: consensus is {config['head']['consensus']!r}, which this afnet.py does not know")


def load(folder: str | Path, name: str = "config") -> Network:
    """The network of folder/NAME.json, without weights."""
    return Network(json.loads((Path(folder) / f"{name}.json").read_text()))


def load_trained(folder: str | Path, config: str = "config", weights: str = "weights") -> Network:
    """The network of folder/CONFIG.json with the weights of folder/WEIGHTS.safetensors."""
    network = load(folder, config)
    network.load_checkpoint(load_file(Path(folder) / f"{weights}.safetensors"))
    return network
