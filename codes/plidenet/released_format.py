"""Names of the authors' released checkpoints, translated to this project's."""

import re
from collections.abc import Mapping

from torch import Tensor

# What a released state dict holds and the network does not need: buffers that are recomputed, a noise-level estimate
# without effect, and a second copy of the refinement and of the Wiener layer.
IGNORED = re.compile(r".*\.attn_mask|.*\.relative_position_index|netDe\.deblur\.(scale_f|bias_f)|(netT|deblur)\..*")

_BLOCK = r"netDe\.netT\.layers\.(\d+)\.residual_group\.blocks\.(\d+)"
_PROMPT = r"netDe\.netT\.layers\.(\d+)\.pgm"
_INTERACTION = r"netDe\.netT\.layers\.(\d+)\.pim\.transformerblock"
_RULES = [
    (re.compile(pattern + r"(?=\.|$)"), name)
    for pattern, name in [
        (r"netK\.conv_1\.0", r"estimator.encode_1.0"),
        (r"netK\.res_block_1\.0", r"estimator.encode_1.2"),
        (r"netK\.conv_2\.0", r"estimator.encode_2.0"),
        (r"netK\.res_block_2\.0", r"estimator.encode_2.2"),
        (r"netK\.conv_3\.0", r"estimator.bottom"),
        (r"netK\.transpose_1\.0", r"estimator.up_2"),
        (r"netK\.conv_4\.0", r"estimator.decode_2.0"),
        (r"netK\.res_block_3\.0", r"estimator.decode_2.2"),
        (r"netK\.transpose_2\.0", r"estimator.up_1"),
        (r"netK\.conv_5\.0", r"estimator.decode_1.0"),
        (r"netK\.res_block_4\.0", r"estimator.decode_1.2"),
        (r"netK\.conv_6\.0", r"estimator.features"),
        (r"netK\.conv_6\.2", r"estimator.to_kernel"),
        (r"netDe\.conv_before_upsample\.0", r"upsampler.conv_first"),
        (r"netDe\.upsample", r"upsampler.stages"),
        (r"netDe\.conv_last", r"upsampler.conv_last"),
        (r"netDe\.k_embd\.linear", r"embedding.1"),
        (r"netDe\.deblur\.wiener_conv_weights", r"wiener.regularizers"),
        (r"netDe\.deblur\.wiener_scale", r"wiener.filter_scale"),
        (r"netDe\.deblur\.alpha", r"wiener.log_strengths"),
        (r"netDe\.deblur\.weights", r"wiener.mixture"),
        (_BLOCK + r"\.attn\.relative_position_bias_table", r"refinement.groups.\1.blocks.\2.attention.position_bias"),
        (_BLOCK + r"\.attn\.proj", r"refinement.groups.\1.blocks.\2.attention.project"),
        (_BLOCK + r"\.attn", r"refinement.groups.\1.blocks.\2.attention"),
        (_BLOCK + r"\.mlp\.fc1", r"refinement.groups.\1.blocks.\2.mlp.0"),
        (_BLOCK + r"\.mlp\.fc2", r"refinement.groups.\1.blocks.\2.mlp.2"),
        (_BLOCK, r"refinement.groups.\1.blocks.\2"),
        (_PROMPT + r"\.linear_layer", r"refinement.groups.\1.prompt.choose"),
        (_PROMPT + r"\.conv3x3", r"refinement.groups.\1.prompt.conv"),
        (_INTERACTION + r"\.(norm\d)\.body", r"refinement.groups.\1.interaction.\2"),
        (_INTERACTION + r"\.attn\.qkv_dwconv", r"refinement.groups.\1.interaction.attention.depthwise"),
        (_INTERACTION + r"\.attn\.project_out", r"refinement.groups.\1.interaction.attention.project"),
        (_INTERACTION + r"\.attn", r"refinement.groups.\1.interaction.attention"),
        (_INTERACTION + r"\.ffn\.project_in", r"refinement.groups.\1.interaction.feed_forward.expand"),
        (_INTERACTION + r"\.ffn\.dwconv", r"refinement.groups.\1.interaction.feed_forward.depthwise"),
        (_INTERACTION + r"\.ffn\.project_out", r"refinement.groups.\1.interaction.feed_forward.project"),
        (r"netDe\.netT\.layers", r"refinement.groups"),
        (r"netDe\.netT\.patch_embed\.norm", r"refinement.norm_first"),
        (r"netDe\.netT\.norm", r"refinement.norm_last"),
        (r"netDe\.netT", r"refinement"),
    ]
]


def is_released(state: Mapping[str, Tensor]) -> bool:
    """Whether a state dict has the names of the authors' release."""
    return any(key.startswith(("netK.", "netDe.")) for key in state)


def translate(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """Rename and reshape a released state dict.

    Returns:
        the state dict under this project's names, and the keys that were ignored. An unknown key keeps its name.
    """
    taken: dict[str, Tensor] = {}
    ignored: list[str] = []
    for key, value in state.items():
        if IGNORED.fullmatch(key):
            ignored.append(key)
        else:
            name = _rename(key)
            taken[name] = _reshape(name, value)
    return taken, ignored


def _rename(key: str) -> str:
    for pattern, name in _RULES:
        if pattern.match(key):
            return pattern.sub(name, key, count=1)
    return key


def _reshape(name: str, value: Tensor) -> Tensor:
    """Released tensors have axes of length 1 that ours do not: 1x1 convolutions, and shapes made for broadcasting."""
    if name.startswith("wiener.") or name.endswith("temperature"):
        return value.squeeze(1) if name == "wiener.regularizers" and value.ndim > 1 else value.flatten()
    if value.ndim == 4 and value.shape[2:] == (1, 1):
        return value.flatten(1)
    return value
