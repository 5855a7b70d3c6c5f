"""Clips for training: lists of videos, folders of frames, arrays.

A list has a line a video: "path label", "path frames label" (TSN, TSM), or
"path" alone where no labels are known; blanks or commas between. A path is a
folder of images, or a video file (read with torchcodec, if it is installed).
Clips come as float32 [T, C, H, W].
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
SCALES = (1.0, 0.875, 0.75, 0.66)  # TSN's scale jitter


@dataclass
class Preprocessing:
    """How frames become the network's input, of values 0 to 255 in the order R, G, B."""

    size: tuple[int, int]
    mean: tuple[float, ...] = (123.675, 116.28, 103.53)
    std: tuple[float, ...] = (58.395, 57.12, 57.375)
    bgr: bool = False
    scale: int = 0  # length of the shorter side before the crop; 0: 256/224 of the crop's


@dataclass
class Video:
    path: Path
    label: int  # -1: unknown
    frames: int = 0  # 0: as many as there are


def read_list(path: Path, root: Path) -> list[Video]:
    """The videos of an annotation file; a line that is none is an error naming it."""
    videos = []
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        words = [w for w in re.split(r"[,\s]+", line) if w]
        numbers = words[1:]
        if len(numbers) > 2 or not all(re.fullmatch(r"-?\d+", n) for n in numbers):
            raise ValueError(f'{path}:{number}: expected "path label" or "path frames label", found {line!r}')
        label = int(numbers[-1]) if numbers else -1
        video = root / words[0]
        if not video.resolve().is_relative_to(root.resolve()):
            raise ValueError(f"{path}:{number}: {words[0]} leads out of {root}")
        videos.append(Video(video, label, int(numbers[0]) if len(numbers) == 2 else 0))
    if not videos:
        raise ValueError(f"{path}: no videos in it")
    return videos


def frame_numbers(count: int, frames: int, random: np.random.Generator | None) -> np.ndarray:
    """Which of count frames make a clip: the middle of T segments, or a random one of each."""
    edges = np.arange(frames + 1) * count / frames
    inside = 0.5 if random is None else random.random(frames)
    return np.minimum((edges[:-1] + inside * np.diff(edges)).astype(int), count - 1)


class FrameSource:
    """The frames of one video, wherever they lie."""

    def __init__(self, video: Video):
        self.video = video
        if video.path.is_dir():
            files = (f for f in video.path.iterdir() if f.suffix.lower() in IMAGES)
            self.files = sorted(files, key=lambda f: [int(n) for n in re.findall(r"\d+", f.stem)])
            if not self.files:
                raise ValueError(f"{video.path}: no images in it")
            self.count = min(video.frames, len(self.files)) if video.frames else len(self.files)
        else:
            try:
                from torchcodec.decoders import VideoDecoder
            except ImportError as e:
                raise ValueError(f"{video.path}: reading video files needs torchcodec (pip install torchcodec)") from e
            self.files, self.decoder = None, VideoDecoder(str(video.path))
            self.count = self.decoder.metadata.num_frames

    def read(self, numbers: np.ndarray) -> list[Image.Image]:
        if self.files is None:
            frames = self.decoder.get_frames_at([int(n) for n in numbers]).data
            return [Image.fromarray(f.permute(1, 2, 0).numpy()) for f in frames]
        return [Image.open(self.files[n]).convert("RGB") for n in numbers]


class Videos(Dataset):
    """Clips of T frames of the videos of a list.

    With augment, a clip depends on (seed, epoch, index) alone, so runs can be
    repeated and resumed, on however many processes.
    """

    def __init__(self, videos: list[Video], frames: int, pre: Preprocessing, augment: bool, flip: bool, seed: int):
        self.videos, self.frames, self.pre = videos, frames, pre
        self.augment, self.flip, self.seed = augment, flip, seed
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.videos)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        random = np.random.default_rng((self.seed, self.epoch, index)) if self.augment else None
        source = FrameSource(self.videos[index])
        images = source.read(frame_numbers(source.count, self.frames, random))
        return self.prepare(self.crop(images, random), random), self.videos[index].label

    def crop(self, images: list[Image.Image], random: np.random.Generator | None) -> list[Image.Image]:
        """Resized so that the shorter side fits, then cropped: the middle, or TSN's jitter in size and place."""
        height, width = self.pre.size
        short = self.pre.scale or round(max(height, width) * 256 / 224)
        ratio = short / min(images[0].size)
        full = (max(width, round(images[0].width * ratio)), max(height, round(images[0].height * ratio)))
        images = [i.resize(full, Image.Resampling.BILINEAR) for i in images]
        w, h = width, height
        left, top = (full[0] - w) / 2, (full[1] - h) / 2
        if random is not None:
            w, h = (round(min(full) * random.choice(SCALES) * side / max(width, height)) for side in (width, height))
            left, top = random.random() * (full[0] - w), random.random() * (full[1] - h)
        box = (left, top, left + w, top + h)
        return [i.resize((width, height), Image.Resampling.BILINEAR, box=box) for i in images]

    def prepare(self, images: list[Image.Image], random: np.random.Generator | None) -> Tensor:
        clip = np.stack([np.asarray(i, dtype=np.float32) for i in images])
        clip = (clip - np.float32(self.pre.mean)) / np.float32(self.pre.std)
        if self.pre.bgr:
            clip = clip[..., ::-1]
        if self.flip and random is not None and random.random() < 0.5:
            clip = clip[:, :, ::-1]
        return torch.from_numpy(np.ascontiguousarray(clip.transpose(0, 3, 1, 2)))


class Arrays(Dataset):
    """Clips of a .npz file as the network takes them, with "labels" if it has them."""

    def __init__(self, path: Path, frames: int, channels: int):
        with np.load(path) as arrays:
            names = [n for n in arrays.files if arrays[n].ndim in (4, 5)]
            if not names:
                raise ValueError(f"{path}: no array of 4 or 5 dimensions in it, found {', '.join(arrays.files)}")
            clips = arrays[names[0]]
            self.labels = arrays["labels"].astype(int) if "labels" in arrays.files else None
        self.clips = clips.reshape(-1, frames, channels, *clips.shape[-2:]).astype(np.float32)
        if self.labels is not None and len(self.labels) != len(self.clips):
            raise ValueError(f"{path}: {len(self.clips)} clips, {len(self.labels)} labels")
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.from_numpy(self.clips[index]), -1 if self.labels is None else int(self.labels[index])


def batches(count: int, batch: int, seed: int, epoch: int, rank: int, world: int) -> list[list[int]]:
    """The clips of each step of an epoch for one of world processes, shuffled by (seed, epoch).

    All processes together take `batch` clips a step, in the order in which one would; a rest is left out.
    """
    order = np.random.default_rng((seed, epoch)).permutation(count)
    share = batch // world
    starts = range(0, count - batch + 1, batch)
    return [order[s + rank * share : s + (rank + 1) * share].tolist() for s in starts]
