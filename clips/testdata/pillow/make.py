"""Makes frame.png and crop.npy: what Pillow, which TSN's and TSM's code use, makes of it."""
import numpy as np
from PIL import Image

rng = np.random.default_rng(0)
smooth = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((64, 48), Image.BICUBIC)
noisy = np.asarray(smooth).astype(int) + rng.integers(-20, 20, (48, 64, 3))
img = Image.fromarray(noisy.clip(0, 255).astype(np.uint8))
img.save("frame.png")
short = 28
scaled = img.resize((64 * short // 48, short), Image.BILINEAR)
left, top = (scaled.size[0] - 24) // 2, (short - 24) // 2
crop = np.asarray(scaled)[top:top + 24, left:left + 24]
np.save("crop.npy", crop.transpose(2, 0, 1).astype(np.float32))
