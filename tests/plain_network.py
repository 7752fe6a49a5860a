"""PL-IDENet written down as plainly as possible: the reference for the package's numbers, and for its speed.

One equation after the other, with nothing saved: channels first everywhere, attention as an explicit softmax, masks
rebuilt at each call, one image and one inverse FFT at a time in the deconvolution. Shares no code with the package,
only the names of its parameters: each function takes the state dict `w` of the module of that part. Inference only.
All is computed in the dtype of the tensors given; in float64 the results serve as exact values.
"""

import torch
from torch.fft import irfft, irfft2, rfft, rfft2
from torch.nn import functional as F

PAPER = {
    "scale": 4,
    "depths": (4, 4, 4, 4),
    "num_heads": (4, 4, 4, 4),
    "window_size": 8,
    "prompt_heads": (1, 2, 4, 8),
    "unshuffle": 1,
}


def plain_forward(state, setting, lr):
    """The whole network: sr (B,3,scale*h,scale*w) and kernel (B,1,k,k).

    `state` is the state dict of the package's network and `setting` are its arguments, the paper's where not given;
    widths (embed_dim, prompt_dims, ...) are those of the tensors.
    """
    setting = PAPER | setting
    kernel = estimator(under(state, "estimator"), lr)
    deblurred = wiener(under(state, "wiener"), upsampler(under(state, "upsampler"), lr, setting["scale"]), kernel)
    embedding = F.relu(linear(state, "embedding.1", kernel.flatten(1)))
    return refinement(under(state, "refinement"), deblurred, embedding, setting), kernel


def under(w, name):
    """The part of a state dict below `name`."""
    return {key.removeprefix(f"{name}."): value for key, value in w.items() if key.startswith(f"{name}.")}


def linear(w, name, x):
    return F.linear(x, w[f"{name}.weight"], w[f"{name}.bias"])


def conv3x3(w, name, x, padding=1):
    return F.conv2d(x, w[f"{name}.weight"], w.get(f"{name}.bias"), padding=padding)


def conv1x1(w, name, x):
    return F.conv2d(x, w[f"{name}.weight"][:, :, None, None], w.get(f"{name}.bias"))


def depthwise3x3(w, name, x):
    return F.conv2d(x, w[f"{name}.weight"], padding=1, groups=x.shape[1])


def layer_norm(w, name, x):
    x = x.permute(0, 2, 3, 1)
    x = F.layer_norm(x, (x.shape[-1],), w[f"{name}.weight"], w[f"{name}.bias"], eps=1e-5)
    return x.permute(0, 3, 1, 2)


# Kernel estimator


def estimator(w, lr):
    f1 = two_convs(w, "encode_1", lr)
    f2 = two_convs(w, "encode_2", F.max_pool2d(f1, 2))
    z = F.relu(conv3x3(w, "bottom", F.max_pool2d(f2, 2)))
    z = two_convs(w, "decode_2", twice_the_size(w, "up_2", z))
    z = torch.cat((fit(z, f2), f2), dim=1)
    z = two_convs(w, "decode_1", twice_the_size(w, "up_1", z))
    z = torch.cat((fit(z, f1), f1), dim=1)
    z = conv3x3(w, "features", z, padding=0)
    z = conv1x1(w, "to_kernel", F.adaptive_avg_pool2d(z, 1))
    k = int(z.shape[1] ** 0.5)
    return torch.softmax(z, dim=1).reshape(len(lr), 1, k, k)


def two_convs(w, name, x):
    return conv3x3(w, f"{name}.2", F.relu(conv3x3(w, f"{name}.0", x)))


def twice_the_size(w, name, x):
    return F.conv_transpose2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride=2)


def fit(x, like):
    return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)


# Upsampler


def upsampler(w, lr, scale):
    t = F.leaky_relu(conv3x3(w, "conv_first", lr), 0.01)
    if scale == 4:
        t = F.pixel_shuffle(conv3x3(w, "stages.0", t), 2)
        t = F.pixel_shuffle(conv3x3(w, "stages.2", t), 2)
    else:
        t = F.pixel_shuffle(conv3x3(w, "stages.0", t), scale)
    return conv3x3(w, "conv_last", t)


# Wiener deconvolution


def wiener(w, image, kernel):
    """Images (B,C,h,w) and kernels (B,1,k,k) -> (B,C,h,w)."""
    return torch.stack([wiener_of_one(w, image[i], kernel[i, 0]) for i in range(len(image))])


def wiener_of_one(w, image, kernel):
    """An image (C,h,w) and a kernel (k,k) -> (C,h,w)."""
    border = len(kernel) // 2
    height, width = image.shape[1] + 2 * border, image.shape[2] + 2 * border
    u = pad_symmetric(image, border)
    v = edge_taper(u, kernel)

    penalty = torch.zeros((), dtype=image.dtype, device=image.device)
    for i, g in enumerate(w["regularizers"]):
        g = g - g.mean()
        g = g / (g.norm() + 1e-12)
        if "filter_scale" in w:
            g = g * torch.exp(w["filter_scale"][i])
        penalty = penalty + transfer_function(g, height, width).abs() ** 2

    d = transfer_function(kernel, height, width)
    result = torch.zeros_like(image)
    for a, share in zip(w["log_strengths"], w["mixture"], strict=True):
        solution = torch.conj(d) * rfft2(v) / (d.abs() ** 2 + torch.exp(a) * penalty)
        x = irfft2(solution, s=(height, width))
        result = result + share * x[:, border : height - border, border : width - border]
    return result


def pad_symmetric(image, border):
    """Mirror an image (C,h,w) at its edges, the edge pixel repeated."""

    def mirrored(length):
        return [-1 - i if i < 0 else 2 * length - 1 - i if i >= length else i for i in range(-border, length + border)]

    return image[:, mirrored(image.shape[1])][:, :, mirrored(image.shape[2])]


def edge_taper(u, kernel):
    """Blend the borders of an image (C,h,w) with the image blurred across its periodic boundary."""
    beta_rows = taper_profile(kernel.sum(dim=1), u.shape[1])
    beta_columns = taper_profile(kernel.sum(dim=0), u.shape[2])
    taper = (1 - beta_rows)[:, None] * (1 - beta_columns)[None, :]
    v = taper * u + (1 - taper) * circular_convolution(u, kernel)
    return v.clamp(u.min(), u.max())  # without effect but for rounding, as the kernel sums to 1


def taper_profile(p, n):
    b = irfft(rfft(p, n=n - 1).abs() ** 2, n=n - 1)
    b = torch.cat((b, b[:1]))
    return b / b.max()


def circular_convolution(u, kernel):
    border = len(kernel) // 2
    around = F.pad(u[None], (border, border, border, border), mode="circular")
    each_channel = kernel.flip(0, 1).expand(len(u), 1, -1, -1)
    return F.conv2d(around, each_channel, groups=len(u))[0]


def transfer_function(kernel, height, width):
    k = len(kernel)
    padded = F.pad(kernel, (0, width - k, 0, height - k))
    return rfft2(torch.roll(padded, shifts=(-(k // 2), -(k // 2)), dims=(0, 1)))


# Refinement


def refinement(w, d, embedding, setting):
    setting = PAPER | setting
    factor = setting["scale"] if setting["unshuffle"] == "scale" else 1
    height, width = d.shape[2:]
    multiple = setting["window_size"] * factor
    d = F.pad(d, (0, -width % multiple, 0, -height % multiple), mode="reflect")
    mean = torch.tensor([0.4488, 0.4371, 0.4040], dtype=d.dtype, device=d.device).reshape(1, 3, 1, 1)
    d = d - mean

    f = conv3x3(w, "conv_first", F.pixel_unshuffle(d, factor))
    t = layer_norm(w, "norm_first", f)
    for g, depth in enumerate(setting["depths"]):
        heads, prompt_heads = setting["num_heads"][g], setting["prompt_heads"][g]
        t = group(under(w, f"groups.{g}"), t, embedding, depth, heads, setting["window_size"], prompt_heads)
    t = layer_norm(w, "norm_last", t)
    r = conv3x3(w, "conv_after_body", t) + f
    sr = d + F.pixel_shuffle(conv3x3(w, "conv_last", r), factor) + mean
    return sr[:, :, :height, :width]


def group(w, t, embedding, depth, heads, window, prompt_heads):
    prompt = prompt_generation(under(w, "prompt"), t, embedding)
    q = prompt_interaction(under(w, "interaction"), torch.cat((t, prompt), dim=1), prompt_heads)
    z = t
    for i in range(depth):
        z = swin_block(under(w, f"blocks.{i}"), z, heads, window, shift=0 if i % 2 == 0 else window // 2)
    return conv3x3(w, "conv", torch.cat((q, z), dim=1)) + t


# Prompts


def prompt_generation(w, t, embedding):
    weights = torch.softmax(linear(w, "choose", t.mean(dim=(2, 3))), dim=1)
    c = (weights * embedding).sum(dim=1)
    channels = w["conv.weight"].shape[1]
    return conv3x3(w, "conv", c[:, None, None, None].expand(-1, channels, *t.shape[2:]))


def prompt_interaction(w, x, heads):
    x = x + channel_attention(under(w, "attention"), double_layer_norm(w, "norm1", x), heads)
    return x + gated_feed_forward(under(w, "feed_forward"), double_layer_norm(w, "norm2", x))


def double_layer_norm(w, name, x):
    """Normalized twice, with the mean and the variance of the input both times."""
    weight, bias = (w[f"{name}.{kind}"][None, :, None, None] for kind in ("weight", "bias"))
    m = x.mean(dim=1, keepdim=True)
    v = ((x - m) ** 2).mean(dim=1, keepdim=True)
    r = 1 / torch.sqrt(v + 1e-5)
    z = (x - m) * r * weight + bias
    return (z - m) * r * weight + bias


def channel_attention(w, x, heads):
    batch, channels, height, width = x.shape
    qkv = depthwise3x3(w, "depthwise", conv1x1(w, "qkv", x))
    q, k, v = (part.reshape(batch, heads, channels // heads, height * width) for part in qkv.chunk(3, dim=1))
    q, k = F.normalize(q, dim=3), F.normalize(k, dim=3)
    attention = torch.softmax(q @ k.transpose(2, 3) * w["temperature"].reshape(1, heads, 1, 1), dim=3)
    return conv1x1(w, "project", (attention @ v).reshape(batch, channels, height, width))


def gated_feed_forward(w, x):
    a, b = depthwise3x3(w, "depthwise", conv1x1(w, "expand", x)).chunk(2, dim=1)
    return conv1x1(w, "project", F.gelu(a) * b)


# Swin block


def swin_block(w, x, heads, window, shift):
    x = x + window_attention(under(w, "attention"), layer_norm(w, "norm1", x), heads, window, shift)
    return x + conv1x1(w, "mlp.2", F.gelu(conv1x1(w, "mlp.0", layer_norm(w, "norm2", x))))


def window_attention(w, x, heads, window, shift):
    batch, channels, height, width = x.shape
    x = torch.roll(x, (-shift, -shift), dims=(2, 3))
    qkv = linear(w, "qkv", to_windows(x, window))
    qkv = qkv.reshape(-1, window**2, 3, heads, channels // heads).permute(2, 0, 3, 1, 4)
    q, k, v = qkv[0], qkv[1], qkv[2]  # (windows of all images, heads, pixels, channels of a head)
    scores = q @ k.transpose(2, 3) * (channels // heads) ** -0.5
    scores = scores + w["position_bias"][position_index(window, x.device)].permute(2, 0, 1)
    if shift:
        mask = shift_mask(height, width, window, shift, x)
        scores = scores.reshape(batch, -1, heads, window**2, window**2) + mask[None, :, None]
        scores = scores.flatten(0, 1)
    x = (torch.softmax(scores, dim=3) @ v).transpose(1, 2).reshape(-1, window**2, channels)
    x = from_windows(linear(w, "project", x), window, height, width)
    return torch.roll(x, (shift, shift), dims=(2, 3))


def to_windows(x, window):
    """(B,C,H,W) -> (B*windows, pixels of a window, C)."""
    batch, channels, height, width = x.shape
    x = x.reshape(batch, channels, height // window, window, width // window, window)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(-1, window**2, channels)


def from_windows(windows, window, height, width):
    channels = windows.shape[2]
    x = windows.reshape(-1, height // window, width // window, window, window, channels)
    return x.permute(0, 5, 1, 3, 2, 4).reshape(-1, channels, height, width)


def position_index(window, device):
    """Row of the bias table for query pixel i and key pixel j of a window."""
    pixels = torch.arange(window**2, device=device)
    row, column = pixels // window, pixels % window
    down, right = row[:, None] - row[None, :], column[:, None] - column[None, :]
    return (down + window - 1) * (2 * window - 1) + right + window - 1


def shift_mask(height, width, window, shift, like):
    """-100 between pixels of a window that come from different regions of the shifted image, (windows, i, j)."""
    region = torch.zeros(1, 1, height, width, dtype=like.dtype, device=like.device)
    pieces = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
    for number, (rows, columns) in enumerate((rows, columns) for rows in pieces for columns in pieces):
        region[:, :, rows, columns] = number
    region = to_windows(region, window)[:, :, 0]
    return -100 * (region[:, :, None] != region[:, None, :]).to(like.dtype)
