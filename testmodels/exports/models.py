"""Small TSN and TSM ResNets in the styles of the public training codes.

Everything here is written for afc's tests: the spellings of the temporal
shift, of the consensus and of the input view are what matters to an exporter;
the widths are tiny and the weights random.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F

LAYERS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}


# ---- the temporal shift, x of [N*T, C, H, W]

def shift_zeros(x, t, div):
    """Slice assignment onto zeros (MIT TSM)."""
    nt, c, h, w = x.size()
    x = x.view(nt // t, t, c, h, w)
    fold = c // div
    out = torch.zeros_like(x)
    out[:, :-1, :fold] = x[:, 1:, :fold]
    out[:, 1:, fold:2 * fold] = x[:, :-1, fold:2 * fold]
    out[:, :, 2 * fold:] = x[:, :, 2 * fold:]
    return out.view(nt, c, h, w)


def shift_merged(x, t, div):
    """Slices, x - x for zeros and three concatenations; H*W merged (mmaction2)."""
    n, c, h, w = x.size()
    x = x.view(-1, t, c, h * w)
    fold = c // div
    left, mid, rest = x[:, :, :fold, :], x[:, :, fold:2 * fold, :], x[:, :, 2 * fold:, :]
    gap = left - left
    left = torch.cat((left[:, 1:, :, :], gap[:, :1, :, :]), 1)
    gap = mid - mid
    mid = torch.cat((gap[:, :1, :, :], mid[:, :-1, :, :]), 1)
    return torch.cat((left, mid, rest), 2).view(n, c, h, w)


def shift_pad(x, t, div):
    nt, c, h, w = x.size()
    x = x.view(-1, t, c, h, w)
    fold = c // div
    left = F.pad(x[:, 1:, :fold], (0, 0, 0, 0, 0, 0, 0, 1))
    right = F.pad(x[:, :-1, fold:2 * fold], (0, 0, 0, 0, 0, 0, 1, 0))
    return torch.cat((left, right, x[:, :, 2 * fold:]), 2).view(nt, c, h, w)


def shift_split(x, t, div):
    nt, c, h, w = x.size()
    fold = c // div
    left, right, rest = torch.split(x.view(-1, t, c, h, w), [fold, fold, c - 2 * fold], 2)
    zero = torch.zeros_like(left[:, :1])
    left = torch.cat((left[:, 1:], zero), 1)
    right = torch.cat((zero, right[:, :-1]), 1)
    return torch.cat((left, right, rest), 2).view(nt, c, h, w)


def shift_assign(x, t, div):
    """Assignment into a copy, the ends set to zero."""
    nt, c, h, w = x.size()
    x = x.view(-1, t, c, h, w)
    fold = c // div
    out = x.clone()
    out[:, :-1, :fold] = x[:, 1:, :fold]
    out[:, -1, :fold] = 0
    out[:, 1:, fold:2 * fold] = x[:, :-1, fold:2 * fold]
    out[:, 0, fold:2 * fold] = 0
    return out.view(nt, c, h, w)


def shift_gather(x, t, div):
    """One gather over time, from the clip with a frame of zeros behind it."""
    nt, c, h, w = x.size()
    x = x.view(-1, t, c, h, w)
    fold = c // div
    x = torch.cat((x, torch.zeros_like(x[:, :1])), 1)
    k, ch = torch.arange(t).view(1, t, 1, 1, 1), torch.arange(c).view(1, 1, c, 1, 1)
    after, before = torch.where(k + 1 < t, k + 1, t), torch.where(k > 0, k - 1, t)
    i = torch.where(ch < fold, after, torch.where(ch < 2 * fold, before, k))
    return torch.gather(x, 1, i.expand(x.size(0), t, c, h, w)).view(nt, c, h, w)


def shift_masked(x, t, div):
    """Rolled, and the frames that wrapped round multiplied by zero."""
    nt, c, h, w = x.size()
    x = x.view(-1, t, c, h, w)
    fold = c // div
    last, first = torch.ones(1, t, 1, 1, 1), torch.ones(1, t, 1, 1, 1)
    last[:, -1], first[:, 0] = 0, 0
    left = torch.roll(x[:, :, :fold], -1, 1) * last
    right = torch.roll(x[:, :, fold:2 * fold], 1, 1) * first
    return torch.cat((left, right, x[:, :, 2 * fold:]), 2).view(nt, c, h, w)


def shift_conv3d(x, t, div):
    """A depthwise 3-D convolution with one-hot weights."""
    nt, c, h, w = x.size()
    fold = c // div
    kernel = torch.zeros(c, 1, 3, 1, 1)
    kernel[:fold, 0, 2], kernel[fold:2 * fold, 0, 0], kernel[2 * fold:, 0, 1] = 1, 1, 1
    x = F.conv3d(x.view(-1, t, c, h, w).transpose(1, 2), kernel, padding=(1, 0, 0), groups=c)
    return x.transpose(1, 2).reshape(nt, c, h, w)


def shift_roll(x, t, div):
    """Circular: the clip's ends wrap round. Not TSM."""
    nt, c, h, w = x.size()
    x = x.view(-1, t, c, h, w)
    fold = c // div
    left = torch.roll(x[:, :, :fold], -1, 1)
    right = torch.roll(x[:, :, fold:2 * fold], 1, 1)
    return torch.cat((left, right, x[:, :, 2 * fold:]), 2).view(nt, c, h, w)


def shift_backward_only(x, t, div):
    """Only from the past (the offline form of online TSM). Not TSM's two-way shift."""
    nt, c, h, w = x.size()
    x = x.view(-1, t, c, h, w)
    fold = c // div
    old = torch.cat((torch.zeros_like(x[:, :1, :fold]), x[:, :-1, :fold]), 1)
    return torch.cat((old, x[:, :, fold:]), 2).view(nt, c, h, w)


class ShiftConv1d(nn.Module):
    """The shift as a depthwise convolution over time with one-hot weights."""

    def __init__(self, channels, t, div):
        super().__init__()
        self.t, fold = t, channels // div
        self.conv = nn.Conv1d(channels, channels, 3, padding=1, groups=channels, bias=False)
        w = torch.zeros(channels, 1, 3)
        w[:fold, 0, 2], w[fold:2 * fold, 0, 0], w[2 * fold:, 0, 1] = 1, 1, 1
        self.conv.weight = nn.Parameter(w, requires_grad=False)

    def forward(self, x):
        nt, c, h, w = x.size()
        x = x.view(nt // self.t, self.t, c, h, w).permute(0, 3, 4, 2, 1).reshape(-1, c, self.t)
        x = self.conv(x).view(nt // self.t, h, w, c, self.t)
        return x.permute(0, 4, 3, 1, 2).reshape(nt, c, h, w)


def shift_swapped(x, t, div):
    """Paddle's temporal_shift: the first channels from the frame before."""
    nt, c, h, w = x.size()
    x = F.pad(x.view(-1, t, c, h, w), (0, 0, 0, 0, 0, 0, 1, 1))
    fold = c // div
    return torch.cat((x[:, :t, :fold], x[:, 2:t + 2, fold:2 * fold], x[:, 1:t + 1, 2 * fold:]), 2).view(nt, c, h, w)


SHIFTS = {f.__name__[6:]: f for f in (
    shift_zeros, shift_merged, shift_pad, shift_split, shift_assign, shift_gather, shift_masked, shift_conv3d,
    shift_roll, shift_backward_only, shift_swapped)}


class Shift(nn.Module):
    def __init__(self, style, t, div):
        super().__init__()
        self.fn, self.t, self.div = SHIFTS[style], t, div

    def forward(self, x):
        return self.fn(x, self.t, self.div)


def make_shift(style, channels, t, div):
    return ShiftConv1d(channels, t, div) if style == "conv1d" else Shift(style, t, div)


# ---- the trunk

class Block(nn.Module):
    """A residual block, basic or bottleneck, with an optional shift."""

    def __init__(self, cin, planes, out, stride, bottleneck, caffe, shift, whole, bias):
        super().__init__()
        def cb(i, o, k, s):
            return nn.Conv2d(i, o, k, s, k // 2, bias=bias), nn.BatchNorm2d(o)
        if bottleneck:
            s1, s2 = (stride, 1) if caffe else (1, stride)
            self.conv1, self.bn1 = cb(cin, planes, 1, s1)
            self.conv2, self.bn2 = cb(planes, planes, 3, s2)
            self.conv3, self.bn3 = cb(planes, out, 1, 1)
        else:
            self.conv1, self.bn1 = cb(cin, planes, 3, stride)
            self.conv2, self.bn2 = cb(planes, out, 3, 1)
            self.conv3 = None
        self.relu = nn.ReLU(inplace=True)
        self.downsample = None
        if stride != 1 or cin != out:
            self.downsample = nn.Sequential(*cb(cin, out, 1, stride))
        self.shift, self.whole = shift, whole

    def forward(self, x):
        if self.shift is not None and self.whole:
            x = self.shift(x)
        residual = x
        if self.shift is not None and not self.whole:
            x = self.shift(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        if self.conv3 is not None:
            x = self.bn3(self.conv3(self.relu(x)))
        if self.downsample is not None:
            residual = self.downsample(residual)
        return self.relu(x + residual)


class ResNet(nn.Module):
    def __init__(self, depth, width=8, t=4, shift=None, div=8, whole=False, every=1, caffe=False, bias=False, planes=3):
        super().__init__()
        bottleneck = depth >= 50
        self.conv1 = nn.Conv2d(planes, width, 7, 2, 3, bias=bias)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        cin = width
        for s, n in enumerate(LAYERS[depth]):
            planes = width << s
            out = planes * 4 if bottleneck else planes
            blocks = []
            for b in range(n):
                sh = make_shift(shift, cin, t, div) if shift and b % every == 0 else None
                stride = 2 if s > 0 and b == 0 else 1
                blocks.append(Block(cin, planes, out, stride, bottleneck, caffe, sh, whole, bias))
                cin = out
            setattr(self, f"layer{s + 1}", nn.Sequential(*blocks))
        self.channels = cin

    def forward(self, x):
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer4(self.layer3(self.layer2(self.layer1(x))))


# ---- input views and consensus

class Video(nn.Module):
    """Trunk between an input view and a head."""

    def __init__(self, trunk, channels, t, layout="chan", consensus="after", classes=11, crops=1, dropout=0.0):
        super().__init__()
        self.planes = trunk.conv1.in_channels if hasattr(trunk, "conv1") else 3
        self.net, self.t, self.layout, self.consensus, self.crops = trunk, t, layout, consensus, crops
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout) if dropout else nn.Identity()
        self.fc = nn.Linear(channels, classes)
        self.softmax = nn.Softmax(-1)

    def view(self, x):
        if self.layout == "flat":
            return x
        if self.layout == "chan":
            return x.view((-1, self.planes) + x.size()[-2:])
        return x.reshape((-1,) + x.shape[2:])  # seg, crops

    def head(self, x):
        kind, t = self.consensus, self.t
        if kind == "gap5d":  # space and time pooled at once
            nt, c, h, w = x.size()
            x = x.view(-1, t, c, h, w).permute(0, 2, 1, 3, 4)
            return self.fc(F.adaptive_avg_pool3d(x, 1).flatten(1))
        if kind == "before":
            x = self.avgpool(x)
            x = x.reshape((-1, t) + x.shape[1:]).mean(dim=1, keepdim=True).squeeze(1)
            return self.fc(self.dropout(x).view(x.size(0), -1))
        x = x.mean((2, 3)) if kind == "spatialmean" else self.avgpool(x).flatten(1)
        x = self.fc(self.dropout(x))
        if kind == "none":
            return x
        if kind == "avgpool":  # time moved to the last axis and pooled
            x = x.view(-1, t, x.size(1)).permute(0, 2, 1)
            return F.avg_pool1d(x, t).squeeze(2)
        if kind == "gap1d":
            x = x.view(-1, t, x.size(1)).permute(0, 2, 1)
            return F.adaptive_avg_pool1d(x, 1).squeeze(2)
        x = x.view((-1, t) + x.size()[1:])
        if kind == "keepdims":
            return x.mean(dim=1, keepdim=True).squeeze(1)
        if kind == "sumdiv":
            return x.sum(dim=1) / t
        x = x.mean(dim=1)
        if kind == "softmax":
            return self.softmax(x)
        if kind == "logsoftmax":
            return torch.log_softmax(x, -1)
        if kind == "prob":  # average_clips='prob': probabilities averaged over the crops
            return self.softmax(x.view(-1, self.crops, x.size(1))).mean(dim=1)
        if kind == "score":
            return x.view(-1, self.crops, x.size(1)).mean(dim=1)
        return x

    def forward(self, x):
        return self.head(self.net(self.view(x)))


class Bytes(nn.Module):
    """Pre-processing inside the graph: bytes, channels last, to normalised frames."""

    def __init__(self, net):
        super().__init__()
        self.net = net
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]))
        self.register_buffer("std", torch.tensor([0.229, 0.224, 0.225]))

    def forward(self, x):  # [N, T, H, W, 3]
        x = (x.float() / 255 - self.mean) / self.std
        return self.net(x.permute(0, 1, 4, 2, 3))


class OpenFrames(nn.Module):
    """Takes T from its input, [N, T, 3, H, W]: the shift, and the mean."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        t = x.size(1)
        for m in self.net.modules():
            if isinstance(m, (Shift, Video)):
                m.t = t
        return self.net(x)


class EverySecond(nn.Module):
    """Uses every second frame of its input."""

    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x[:, ::2])


class FrozenNorm(nn.Module):
    """Batch normalisation as a product and a sum of constants (detectron's, mmcv's frozen BN)."""

    def __init__(self, bn):
        super().__init__()
        scale = bn.weight / (bn.running_var + bn.eps).sqrt()
        self.register_buffer("scale", scale.detach().view(1, -1, 1, 1))
        self.register_buffer("bias", (bn.bias - bn.running_mean * scale).detach().view(1, -1, 1, 1))

    def forward(self, x):
        return x * self.scale + self.bias


class ScaledNorm(nn.Module):
    """Batch normalisation without affine parameters, and a scale layer behind it (Caffe)."""

    def __init__(self, bn):
        super().__init__()
        c = bn.num_features
        self.bn = nn.BatchNorm2d(c, affine=False)
        self.bn.running_mean, self.bn.running_var = bn.running_mean, bn.running_var
        self.gamma, self.beta = nn.Parameter(bn.weight.detach().view(c, 1, 1)), nn.Parameter(bn.bias.detach().view(c, 1, 1))

    def forward(self, x):
        return self.bn(x) * self.gamma + self.beta


def norms_as(net, kind):
    """net with every batch normalisation replaced."""
    for name, m in net.named_children():
        if isinstance(m, nn.BatchNorm2d):
            setattr(net, name, kind(m))
        else:
            norms_as(m, kind)
    return net


class MobileNet(nn.Module):
    """MobileNetV2 in small, with the shift on the branches that add."""

    def __init__(self, width, t, shift, div=4):
        super().__init__()
        def cba(i, o, k, s, groups=1, act=True):
            layers = [nn.Conv2d(i, o, k, s, k // 2, groups=groups, bias=False), nn.BatchNorm2d(o)]
            return layers + ([nn.ReLU6()] if act else [])
        self.conv1 = nn.Conv2d(3, width, 3, 2, 1, bias=False)
        self.stem = nn.Sequential(nn.BatchNorm2d(width), nn.ReLU6())
        self.blocks, self.shifts, cin = nn.ModuleList(), nn.ModuleList(), width
        for out, stride in ((width, 1), (width, 1), (2 * width, 2), (2 * width, 1), (4 * width, 2), (4 * width, 1)):
            self.blocks.append(nn.Sequential(*cba(cin, 4 * cin, 1, 1), *cba(4 * cin, 4 * cin, 3, stride, 4 * cin), *cba(4 * cin, out, 1, 1, act=False)))
            self.shifts.append(make_shift(shift, cin, t, div) if stride == 1 and cin == out else nn.Identity())
            cin = out
        self.channels = cin

    def forward(self, x):
        x = self.stem(self.conv1(x))
        for block, shift in zip(self.blocks, self.shifts):
            y = block(shift(x))
            x = x + y if y.shape == x.shape else y
        return x


# ---- networks that must be refused

class Excite(nn.Module):
    """Squeeze and excitation behind a convolution; cbam: over the map as well."""

    def __init__(self, channels, cbam=False):
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, channels // 2, 1), nn.Conv2d(channels // 2, channels, 1)
        self.look = nn.Conv2d(2, 1, 7, padding=3) if cbam else None

    def forward(self, x):
        gate = self.up(F.relu(self.down(x.mean((2, 3), keepdim=True))))
        if self.look is None:
            return x * torch.sigmoid(gate)
        x = x * torch.sigmoid(gate + self.up(F.relu(self.down(F.adaptive_max_pool2d(x, 1)))))
        return x * torch.sigmoid(self.look(torch.cat((x.mean(1, keepdim=True), x.amax(1, keepdim=True)), 1)))


class Inception(nn.Module):
    """BNInception's first modules: branches side by side, concatenated."""

    def __init__(self):
        super().__init__()
        def cba(i, o, k, s=1):
            return nn.Sequential(nn.Conv2d(i, o, k, s, k // 2), nn.BatchNorm2d(o), nn.ReLU())
        self.stem, self.pool = cba(3, 8, 7, 2), nn.MaxPool2d(3, 2, 1)
        self.second = nn.Sequential(cba(8, 8, 1), cba(8, 16, 3))
        self.one, self.three, self.twice = cba(16, 8, 1), nn.Sequential(cba(16, 8, 1), cba(8, 8, 3)), nn.Sequential(cba(16, 8, 1), cba(8, 8, 3), cba(8, 8, 3))
        self.pooled = nn.Sequential(nn.AvgPool2d(3, 1, 1), cba(16, 4, 1))
        self.channels = 28

    def forward(self, x):
        x = self.pool(self.second(self.pool(self.stem(x))))
        return torch.cat((self.one(x), self.three(x), self.twice(x), self.pooled(x)), 1)


class TemporalPool(nn.Module):
    """TSM's temporal_pool: half as many frames after layer1."""

    def __init__(self, trunk, t):
        super().__init__()
        self.trunk, self.t = trunk, t

    def forward(self, x):
        r = self.trunk
        x = r.layer1(r.maxpool(r.relu(r.bn1(r.conv1(x)))))
        nt, c, h, w = x.size()
        x = x.view(nt // self.t, self.t, c, h, w).transpose(1, 2)
        x = F.max_pool3d(x, (3, 1, 1), (2, 1, 1), (1, 0, 0))
        x = x.transpose(1, 2).contiguous().view(nt // 2, c, h, w)
        return r.layer4(r.layer3(r.layer2(x)))


class NonLocal(nn.Module):
    """A dot-product non-local block over the clip, behind layer2's first block."""

    def __init__(self, channels, t):
        super().__init__()
        inner = channels // 2
        self.t = t
        self.theta, self.phi, self.g = (nn.Conv2d(channels, inner, 1) for _ in range(3))
        self.out, self.bn = nn.Conv2d(inner, channels, 1), nn.BatchNorm2d(channels)

    def forward(self, x):
        nt, c, h, w = x.size()
        n = nt // self.t
        theta, phi, g = (f(x).view(n, self.t, -1, h * w).transpose(1, 2).reshape(n, -1, self.t * h * w)
                         for f in (self.theta, self.phi, self.g))
        a = F.softmax(torch.matmul(theta.transpose(1, 2), phi), -1)
        y = torch.matmul(a, g.transpose(1, 2)).transpose(1, 2).reshape(n, -1, self.t, h, w)
        y = y.transpose(1, 2).reshape(nt, -1, h, w)
        return x + self.bn(self.out(y))


class OnlineBlock(nn.Module):
    """Online TSM: channels of the frame before come from a buffer that is an input."""

    def __init__(self, block, fold):
        super().__init__()
        self.block, self.fold = block, fold

    def forward(self, x, buffer):
        y = torch.cat((buffer, x[:, self.fold:]), 1)
        b = self.block
        y2 = b.relu(b.bn2(b.conv2(b.relu(b.bn1(b.conv1(y))))) + (b.downsample(x) if b.downsample is not None else x))
        return y2, x[:, :self.fold]


class Online(nn.Module):
    def __init__(self, trunk, channels, div=8):
        super().__init__()
        self.trunk = trunk
        self.blocks = nn.ModuleList()
        self.shapes = []
        size = 8
        for s in range(4):
            for b in getattr(trunk, f"layer{s + 1}"):
                fold = b.conv1.in_channels // div
                self.blocks.append(OnlineBlock(b, fold))
                self.shapes.append((1, fold, size, size))
                if b.conv1.stride[0] == 2:
                    size //= 2
        self.fc = nn.Linear(channels, 11)

    def forward(self, x, *buffers):
        r, kept = self.trunk, []
        x = r.maxpool(r.relu(r.bn1(r.conv1(x))))
        for block, buffer in zip(self.blocks, buffers):
            x, k = block(x, buffer)
            kept.append(k)
        return (self.fc(x.mean((2, 3))), *kept)


class Conv3d(nn.Module):
    """An inflated (I3D-like) stem and block."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv3d(3, 8, (1, 7, 7), (1, 2, 2), (0, 3, 3))
        self.conv = nn.Conv3d(8, 8, (3, 1, 1), 1, (1, 0, 0))
        self.fc = nn.Linear(8, 11)

    def forward(self, x):  # [N, 3, T, H, W]
        x = F.relu(self.stem(x))
        return self.fc(F.relu(x + self.conv(x)).mean((2, 3, 4)))


class Plain(nn.Module):
    """A plain stack of convolutions: not a ResNet."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(),
            nn.MaxPool2d(2), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())
        self.fc = nn.Linear(16, 11)

    def forward(self, x):
        return self.fc(self.features(x).mean((2, 3)))


class Dense(nn.Module):
    """Dense connections (DenseNet) behind a ResNet's stem."""

    def __init__(self):
        super().__init__()
        self.stem, self.pool = nn.Conv2d(3, 8, 7, 2, 3), nn.MaxPool2d(3, 2, 1)
        self.a, self.b = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(16, 8, 3, padding=1)
        self.fc = nn.Linear(24, 11)

    def forward(self, x):
        x = self.pool(F.relu(self.stem(x)))
        x = torch.cat((x, F.relu(self.a(x))), 1)
        x = torch.cat((x, F.relu(self.b(x))), 1)
        return self.fc(x.mean((2, 3)))
