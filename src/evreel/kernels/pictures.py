"""Events to the grey levels of a video's pictures."""

import math

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

# For exp in steps of ln 2 / 32, from whole numbers: powers by the C library are not constant.
_STEP_HIGH = 2977044471 / 2**37  # of 32 bits, so that its small multiples are exact
_STEP_LOW = 1.9082149292705877e-10 / 32  # ln 2 / 32 − _STEP_HIGH
_STEPS_PER_UNIT = 1 / (_STEP_HIGH + _STEP_LOW)
_ROOTS = [2 ** (32 * 64 - n) for n in range(32)]
for _ in range(5):
    _ROOTS = [math.isqrt(root) for root in _ROOTS]
_FRACTIONS = np.array([root / 2**64 for root in _ROOTS])  # 2**(−n/32)
_HALVES = np.array([2.0**-n for n in range(1024)])
_SERIES = tuple((-1.0) ** n / math.factorial(n) for n in range(6, -1, -1))

# n events; h, w sensor rows, columns; m levels, odd: −m//2 … m//2; H, W picture rows, columns


@kernel
def add_counts(
    x: npt.NDArray[np.uint16],  # (n,)
    y: npt.NDArray[np.uint16],  # (n,)
    p: npt.NDArray[np.uint8],  # (n,)
    off: int,
    on: int,
    counts: npt.NDArray[np.int32],  # (h, w)
) -> None:
    """Add `off` or `on` to the count of each event's pixel; negated, it takes events away."""
    for i in range(len(x)):
        counts[y[i], x[i]] += on if p[i] else off


@kernel
def decay(elapsed_us: int, tau_us: int) -> float:
    """Return exp(−elapsed/τ) to within 2 units of the last place, the same on every processor.

    The C library's exp differs in the last bit, for one value in 1500, between processors with
    and without fused multiplication. This uses only sums and products, which numba does not fuse:
    elapsed/τ = n · ln 2 / 32 + rest, and a series of 7 terms for a rest of at most ln 2 / 64.
    """
    x = elapsed_us / tau_us
    if x > 700.0:
        return 0.0  # in place of 1e-304
    n = int(x * _STEPS_PER_UNIT + 0.5)
    rest = (x - n * _STEP_HIGH) - n * _STEP_LOW
    total = 0.0
    for coefficient in _SERIES:
        total = total * rest + coefficient
    return float(total * _FRACTIONS[n % 32] * _HALVES[n // 32])


@kernel
def fade_trail(
    elapsed_us: int,
    tau_us: int,
    least: float,
    trail: npt.NDArray[np.float32],  # (h, w)
) -> None:
    """Multiply a trail by exp(−elapsed/τ); what falls below `least` becomes 0."""
    factor = decay(elapsed_us, tau_us)
    for row in range(trail.shape[0]):
        for column in range(trail.shape[1]):
            value = trail[row, column] * factor
            trail[row, column] = value if abs(value) >= least else 0.0


@kernel
def add_trail(
    t: npt.NDArray[np.int64],  # (n,)
    x: npt.NDArray[np.uint16],  # (n,)
    y: npt.NDArray[np.uint16],  # (n,)
    p: npt.NDArray[np.uint8],  # (n,)
    now_us: int,
    tau_us: int,
    trail: npt.NDArray[np.float32],  # (h, w)
) -> None:
    """Add ±exp(−(now − t)/τ) to the trail of each event's pixel: + for ON, − for OFF."""
    for i in range(len(t)):
        weight = decay(now_us - t[i], tau_us)
        trail[y[i], x[i]] += weight if p[i] else -weight


@kernel
def tone_counts(
    counts: npt.NDArray[np.int32],  # (h, w)
    levels: npt.NDArray[np.uint8],  # (m,)
    picture: npt.NDArray[np.uint8],  # (H ≥ h, W ≥ w)
) -> None:
    """Write each count's level at the picture's top left; counts beyond ±m//2 show as ±m//2."""
    limit = len(levels) // 2
    for row in range(counts.shape[0]):
        for column in range(counts.shape[1]):
            count = min(max(counts[row, column], -limit), limit)
            picture[row, column] = levels[limit + count]


@kernel
def tone_trail(
    trail: npt.NDArray[np.float32],  # (h, w)
    contrast: float,
    middle: int,
    reach: int,
    picture: npt.NDArray[np.uint8],  # (H ≥ h, W ≥ w)
) -> None:
    """Write ``middle ± reach`` where a trail is ±`contrast` or beyond, linear in between."""
    for row in range(trail.shape[0]):
        for column in range(trail.shape[1]):
            value = trail[row, column]
            steps = int(min(abs(value) / contrast, 1.0) * reach + 0.5)
            picture[row, column] = middle + steps if value > 0 else middle - steps


@kernel
def magnify(
    small: npt.NDArray[np.uint8],  # (h, w)
    scale: int,
    picture: npt.NDArray[np.uint8],  # (H ≥ scale·h, W ≥ scale·w)
) -> None:
    """Write each pixel as a square of `scale` × `scale` at the picture's top left."""
    for row in range(small.shape[0]):
        top = row * scale
        for column in range(small.shape[1]):
            level = small[row, column]
            for k in range(column * scale, (column + 1) * scale):
                picture[top, k] = level
        for k in range(1, scale):
            picture[top + k, : small.shape[1] * scale] = picture[top, : small.shape[1] * scale]


@kernel
def colour_events(
    x: npt.NDArray[np.uint16],  # (n,)
    y: npt.NDArray[np.uint16],  # (n,)
    p: npt.NDArray[np.uint8],  # (n,)
    roi: npt.NDArray[np.int32],  # (n,), −1 … k − 1
    colours: npt.NDArray[np.uint8],  # (k + 1, 2, 3): of no region and of each; OFF and ON; RGB
    picture: npt.NDArray[np.uint8],  # (h, w, 3)
) -> None:
    """Give each event's pixel the colour of its region and polarity; a later event wins."""
    for i in range(len(x)):
        for channel in range(3):
            picture[y[i], x[i], channel] = colours[roi[i] + 1, p[i], channel]


# BT.709 in 16 binary places: red, green, blue to luma (16 to 235) and chroma (16 to 240).
_LUMA = (11966, 40254, 4064)
_BLUE = (-6596, -22189, 28785)
_RED = (28785, -26145, -2640)


@kernel
def to_yuv420(
    picture: npt.NDArray[np.uint8],  # (H, W, 3), H and W even
    planes: npt.NDArray[np.uint8],  # (H · W · 3/2,): luma, then blue and red for squares of 2 × 2
) -> None:
    """Convert colours as a video stores them; in whole numbers, the same on every processor."""
    height, width = picture.shape[0], picture.shape[1]
    blue = height * width
    red = blue + blue // 4
    for row in range(0, height, 2):
        for column in range(0, width, 2):
            r = g = b = 0
            for i in range(row, row + 2):
                for j in range(column, column + 2):
                    one_r = int(picture[i, j, 0])
                    one_g = int(picture[i, j, 1])
                    one_b = int(picture[i, j, 2])
                    luma = _LUMA[0] * one_r + _LUMA[1] * one_g + _LUMA[2] * one_b
                    planes[i * width + j] = 16 + ((luma + 32768) >> 16)
                    r += one_r
                    g += one_g
                    b += one_b
            k = row // 2 * (width // 2) + column // 2
            chroma = _BLUE[0] * r + _BLUE[1] * g + _BLUE[2] * b
            planes[blue + k] = 128 + ((chroma + 131072) >> 18)
            chroma = _RED[0] * r + _RED[1] * g + _RED[2] * b
            planes[red + k] = 128 + ((chroma + 131072) >> 18)
