"""AFNets as people write them in PyTorch: one network, many spellings.

The ample and focal network of the paper on ResNets. Every keyword of AFNet is a
way to write the same thing; the tests hold afc to see the same network in each.
"""

from types import SimpleNamespace

import torch
import torch.nn as nn
import torch.nn.functional as F


# ---- choices of frames, of logits [N, T, 2]

def larger(logits):
    """1 where the second logit is larger."""
    return (logits[..., 1] > logits[..., 0]).to(logits.dtype)


def argmax(logits):
    return logits.argmax(-1).float()


def scattered(logits):
    """argmax of softmax, as one-hot by scatter."""
    soft = logits.softmax(-1)
    hard = torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, keepdim=True), 1.0)
    return hard[..., 1]


def one_hot(logits):
    return F.one_hot(logits.argmax(-1), 2)[..., 1].to(logits.dtype)


def straight(logits):
    """What is left of a straight-through estimator."""
    soft = logits.softmax(-1)
    hard = torch.zeros_like(soft).scatter_(-1, soft.max(-1, keepdim=True)[1], 1.0)
    return ((hard - soft).detach() + soft)[..., 1]


def rounded(logits):
    return logits.softmax(-1)[..., 1].round()


def threshold(logits):
    """A logit's lead over the other, above zero."""
    return torch.where(logits[..., 1] - logits[..., 0] > 0, torch.ones(()), torch.zeros(()))


def noisy(logits):
    """The authors' sampling: Gumbel noise, softmax, argmax, straight-through."""
    u = torch.rand_like(logits)
    gumbel = -torch.log(1e-10 - torch.log(u + 1e-10))
    soft = ((logits + gumbel) / 0.5).softmax(-1)
    hard = torch.zeros_like(soft).scatter_(-1, soft.argmax(-1, keepdim=True), 1.0)
    return ((hard - soft).detach() + soft)[..., 1]


def gumbel_softmax(logits):
    return F.gumbel_softmax(logits, tau=0.7, hard=True)[..., 1]


def bernoulli(logits):
    return torch.bernoulli(logits.softmax(-1)[..., 1])


def uniform(logits):
    """A draw against the probability."""
    p = logits.softmax(-1)[..., 1]
    return (torch.rand_like(p) < p).float()


def soft(logits):
    return logits.softmax(-1)[..., 1]


def sharp(logits):
    """So sharp a softmax that it looks like a choice, and is none."""
    return (logits / 0.01).softmax(-1)[..., 1]


def first(logits):
    return (logits[..., 0] > logits[..., 1]).float()


def not_less(logits):
    return (logits[..., 1] >= logits[..., 0]).float()


def blind(logits):
    """Noise decides, whatever the logits."""
    return (torch.rand_like(logits[..., 0]) < 0.25).float() * (logits[..., 1] > -1e9).float()


# ---- means over pixels, of [B, C, H, W]

def pooled(x):
    return F.adaptive_avg_pool2d(x, 1)


def mean(x):
    return x.mean((2, 3), keepdim=True)


def flat_mean(x):
    return x.flatten(2).mean(-1)[:, :, None, None]


def summed(x):
    return x.sum((2, 3), keepdim=True) / (x.shape[2] * x.shape[3])


def window(x):
    return F.avg_pool2d(x, (x.shape[2], x.shape[3]))


# ---- nearest upsampling to another map's size

def sized(a, f):
    return F.interpolate(a, size=f.shape[2:], mode="nearest")


def scaled(a, f):
    return F.interpolate(a, scale_factor=2.0, mode="nearest")


def repeated(a, f):
    k = f.shape[2] // a.shape[2]
    return a.repeat_interleave(k, 2).repeat_interleave(k, 3)


def expanded(a, f):
    b, c, h, w = a.shape
    k = f.shape[2] // h
    return a[:, :, :, None, :, None].expand(b, c, h, k, w, k).reshape(b, c, h * k, w * k)


def gathered(a, f):
    rows = torch.arange(f.shape[2]) * a.shape[2] // f.shape[2]
    cols = torch.arange(f.shape[3]) * a.shape[3] // f.shape[3]
    return a[:, :, rows][:, :, :, cols]


def bilinear(a, f):
    return F.interpolate(a, size=f.shape[2:], mode="bilinear")


# ---- mixtures

def weighed(g, a, f):
    return g * a + (1 - g) * f


def moved(g, a, f):
    return f + g * (a - f)


def lerped(g, a, f):
    return torch.lerp(f, a, g)


def swapped(g, a, f):
    return g * f + (1 - g) * a


# ---- products with a mask of frames [N, T]

def frames4(x, mask):
    return x * mask.reshape(-1, 1, 1, 1)


def frames5(x, mask):
    n, t = mask.shape
    return (x.view(n, t, *x.shape[1:]) * mask[:, :, None, None, None]).flatten(0, 1)


def full(x, mask):
    return mask.reshape(-1, 1, 1, 1).expand_as(x) * x


def where(x, mask):
    return torch.where(mask.reshape(-1, 1, 1, 1) > 0.5, x, torch.zeros(()))


# ---- temporal shifts, of [N·T, C, H, W]

def no_shift(x, t, fold):
    return x


def assigned(x, t, fold):
    x = x.view(-1, t, *x.shape[1:])
    out = torch.zeros_like(x)
    out[:, :-1, :fold] = x[:, 1:, :fold]
    out[:, 1:, fold : 2 * fold] = x[:, :-1, fold : 2 * fold]
    out[:, :, 2 * fold :] = x[:, :, 2 * fold :]
    return out.flatten(0, 1)


def joined(x, t, fold):
    x = x.view(-1, t, *x.shape[1:])
    a, b, c = x.split((fold, fold, x.shape[2] - 2 * fold), dim=2)
    zero = torch.zeros_like(a[:, :1])
    return torch.cat((torch.cat((a[:, 1:], zero), 1), torch.cat((zero, b[:, :-1]), 1), c), 2).flatten(0, 1)


# ---- the network

class Block(nn.Module):
    def __init__(self, net, inp, out, stride=1, groups=1, basic=False, relu=True):
        super().__init__()
        self.net, self.basic, self.last_relu = net, basic, relu
        mid = out if basic else out // 4
        chans = [(inp, mid, 3, stride), (mid, out, 3, 1)] if basic else [(inp, mid, 1, 1), (mid, mid, 3, stride), (mid, out, 1, 1)]
        for i, (c, d, k, s) in enumerate(chans, 1):
            self.add_module(f"conv{i}", nn.Conv2d(c, d, k, s, k // 2, groups=groups, bias=False))
            self.add_module(f"bn{i}", nn.BatchNorm2d(d))
        self.n = len(chans)
        path = []
        if stride > 1:
            path.append(nn.AvgPool2d(3, stride, 1))
        if inp != out:
            path += [nn.Conv2d(inp, out, 1, bias=False), nn.BatchNorm2d(out)]
        self.downsample = nn.Sequential(*path) if path else None

    def forward(self, x, mask=None):
        side = x if self.downsample is None else self.downsample(x)
        y = self.net.shift(x, self.net.frames, x.shape[1] // 8)
        if mask is not None and not self.net.zero:
            y = self.net.product(y, mask)
        for i in range(1, self.n + 1):
            y = getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(y))
            if i < self.n:
                y = F.relu(y)
        if mask is not None and self.net.zero:
            y = self.net.product(y, mask)
        y = y + side
        return F.relu(y) if self.last_relu else y


class Navigation(nn.Module):
    def __init__(self, net, inp):
        super().__init__()
        t = net.frames
        self.net = net
        self.conv_pool, self.bn = nn.Conv2d(inp, 2, 1, bias=False), nn.BatchNorm2d(2)
        self.conv_gs = nn.Conv2d(2 * t, 2 * t, 1, groups=1 if net.dense else t)

    def forward(self, x):
        t = self.net.frames
        x = F.relu(self.bn(self.conv_pool(self.net.mean(x))))
        return self.net.choose(self.conv_gs(x.view(-1, 2 * t, 1, 1)).view(-1, t, 2))


class Gate(nn.Module):
    def __init__(self, net, out):
        super().__init__()
        self.net = net
        hidden = max(out // 16, 2)
        if net.gate == "conv":
            self.fc = nn.Sequential(nn.Conv2d(out, hidden, 1), nn.ReLU(), nn.Conv2d(hidden, out, 1), nn.Sigmoid())
        else:
            b = net.gate == "bias"
            self.fc = nn.Sequential(nn.Linear(out, hidden, bias=b), nn.ReLU(), nn.Linear(hidden, out, bias=b), nn.Sigmoid())

    def forward(self, s):
        x = self.net.mean(s)
        if self.net.gate == "conv":
            return self.fc(x)
        return self.fc(x.flatten(1))[:, :, None, None]


class Module(nn.Module):
    def __init__(self, net, inp, out, blocks, last, basic):
        super().__init__()
        self.net = net
        alpha, groups = net.alpha, net.groups
        n = blocks - 1
        ample, focal, nav = [], [], []
        a, f = inp, inp
        for i in range(n):
            relu = i < n - 1 or n == 1
            nav.append(Navigation(net, a))
            ample.append(Block(net, a, out // alpha, 2 if i == 0 else 1, basic=basic, relu=relu))
            focal.append(Block(net, f, out, 1, groups=groups, basic=basic, relu=relu))
            a, f = out // alpha, out
        self.list_gen, self.base_module, self.refine_module = nn.ModuleList(nav), nn.ModuleList(ample), nn.ModuleList(focal)
        self.base_transform = nn.Sequential(nn.Conv2d(a, out, 1, bias=False), nn.BatchNorm2d(out))
        self.att_gen = Gate(net, out)
        self.fusion = nn.Sequential(Block(net, out, out, last, basic=basic))

    def forward(self, x, masks):
        a = f = x
        for nav, ample, focal in zip(self.list_gen, self.base_module, self.refine_module):
            m = nav(f if self.net.looks_at_focal else a)
            masks.append(m)
            a, f = ample(a), focal(f, m)
        a = self.net.up(self.base_transform(a), f)
        return self.fusion(F.relu(self.net.blend(self.att_gen(a + f), a, f)))


class AFNet(nn.Module):
    """Clips in, scores out; with "masks" the selections of all blocks too, with "each" those of every block."""

    def __init__(self, blocks=(2, 2, 2, 1), width=4, frames=4, classes=7, basic=False, layout="chan", shift=no_shift, choose=larger,
                 mean=pooled, up=sized, blend=weighed, product=frames4, gate="plain", dense=False, zero=False, masks="",
                 alpha=2, groups=2, looks_at_focal=False, noise=False, softmax=False):
        super().__init__()
        self.style = SimpleNamespace(frames=frames, layout=layout, shift=shift, choose=choose, mean=mean, up=up, blend=blend,
                                     product=product, gate=gate, dense=dense, zero=zero, masks=masks, alpha=alpha, groups=groups,
                                     looks_at_focal=looks_at_focal, noise=noise, softmax=softmax)
        expansion = 1 if basic else 4
        self.conv1, self.bn1 = nn.Conv2d(3, width, 7, 2, 3, bias=False), nn.BatchNorm2d(width)
        inp = width
        for i, n in enumerate(blocks):
            out = width * 2**i * expansion
            if i < len(blocks) - 1:
                stage = Module(self.style, inp, out, n, 2 if i < len(blocks) - 2 else 1, basic)
            else:
                stage = nn.ModuleList(Block(self.style, inp if k == 0 else out, out, 2 if k == 0 else 1, basic=basic) for k in range(n))
            self.add_module(f"layer{i + 1}", stage)
            inp = out
        self.fc = nn.Linear(inp, classes)
        self.stages = len(blocks)

    def forward(self, clips):
        x = clips.reshape(-1, 3, *clips.shape[-2:])
        masks = []
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        if self.style.noise:
            x = x + torch.randn_like(x)
        for i in range(1, self.stages + 1):
            stage = getattr(self, f"layer{i}")
            if isinstance(stage, Module):
                x = stage(x, masks)
            else:
                for block in stage:
                    x = block(x)
        scores = self.fc(x.mean((2, 3))).view(-1, self.style.frames, self.fc.out_features).mean(1)
        if self.style.softmax:
            scores = scores.softmax(-1)
        if self.style.masks == "masks":
            return scores, torch.stack(masks, 1)
        if self.style.masks == "each":
            return (scores, *masks)
        if self.style.masks == "features":
            return scores, x
        return scores
